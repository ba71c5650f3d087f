/**
 * ustar headers (POSIX.1-1988, "ustar Interchange Format"; pax records: POSIX.1-2001) that depend on a member's
 * name and size only: mode 0644, owner 0, time 0. The integer time matters: a pax float mtime, as webdataset's
 * own writer emits it, costs 1 KiB a member.
 */
export const TAR_BLOCK = 512
/** Two zero blocks end an archive. No padding to a 10 KiB record: every reader in use stops at the zero blocks. */
export const TAR_END_BYTES = 2 * TAR_BLOCK
/** 11 octal digits: 8 GiB - 1. */
export const TAR_MAX_MEMBER = 0o77777777777

const NAME_BYTES = 100
const PREFIX_BYTES = 155

/**
 * The bytes before a member's body: one block, or three and more where the name needs a pax path record (over
 * 100 bytes, and no '/' where it can be cut into a prefix of 155 and a name of 100).
 */
export function tarHeader(name: string, size: number): Buffer {
  const header = Buffer.allocUnsafe(tarHeaderBytes(name))
  writeTarHeader(header, 0, name, size)
  return header
}

/** Writes `tarHeader(name, size)` into a buffer that has room for it; returns its length. */
export function writeTarHeader(into: Buffer, at: number, name: string, size: number): number {
  if (!Number.isSafeInteger(size) || size < 0 || size > TAR_MAX_MEMBER) {
    throw new RangeError(`a tar member can't have ${size} bytes`)
  }
  if (isShort(name)) {
    const sum = startBlock(into, at)
    return endBlock(into, at, { size, sum: sum + sumOf(into, at, into.write(name, at)) })
  }
  const bytes = Buffer.from(name)
  const cut = cutName(bytes)
  if (cut !== undefined)
    return writeBlock(into, at, bytes.subarray(cut + 1), { prefix: bytes.subarray(0, cut), size })
  const record = paxRecord('path', bytes)
  let end = at + writeBlock(into, at, Buffer.from('././@PaxHeader'), { size: record.length, type: 'x' })
  end += record.copy(into, end)
  into.fill(0, end, end + tarPadding(record.length))
  end += tarPadding(record.length)
  return end + writeBlock(into, end, headOf(bytes), { size }) - at
}

/** Length of `tarHeader(name, …)`: planning needs it a million times, the bytes only once. */
export function tarHeaderBytes(name: string): number {
  if (isShort(name)) return TAR_BLOCK
  const bytes = Buffer.from(name)
  if (cutName(bytes) !== undefined) return TAR_BLOCK
  const record = paxRecord('path', bytes).length
  return 2 * TAR_BLOCK + record + tarPadding(record)
}

/** Zero bytes after a body of `size`, up to the next block. */
export function tarPadding(size: number): number {
  return (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK
}

/** Bytes that a member takes in the archive: header, body, padding. */
export function tarMemberBytes(name: string, size: number): number {
  return tarHeaderBytes(name) + size + tarPadding(size)
}

/** At most three bytes a UTF-16 unit: most names need no encoding to be measured. */
function isShort(name: string): boolean {
  return name.length * 3 <= NAME_BYTES || (name.length <= NAME_BYTES && Buffer.byteLength(name) <= NAME_BYTES)
}

/** Of a name over 100 bytes: the index of the '/' between prefix and name; undefined: ustar can't hold it. */
function cutName(bytes: Buffer): number | undefined {
  // The earliest cut that leaves a name of 100 bytes: the prefix is then the shortest.
  const cut = bytes.indexOf(0x2f, bytes.length - NAME_BYTES - 1)
  return cut > 0 && cut <= PREFIX_BYTES && cut < bytes.length - 1 ? cut : undefined
}

/** As much of a long name as fits the old field, never half a UTF-8 character: readers without pax see this. */
function headOf(bytes: Buffer): Buffer {
  let end = NAME_BYTES
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return bytes.subarray(0, end)
}

function paxRecord(keyword: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${keyword}=`), value, Buffer.from('\n')])
  // The length counts its own digits.
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return Buffer.concat([Buffer.from(String(length)), rest])
}

/** All that is the same in every header of a file; name, size and checksum are still zero. */
const BLANK = blank()
/** The checksum is taken with its own field as spaces. */
const BLANK_SUM = sumOf(BLANK, 0, TAR_BLOCK) + 8 * 0x20
const FILE_TYPE = 0x30

function blank(): Buffer {
  const header = Buffer.alloc(TAR_BLOCK)
  header.write('0000644\0' + '0000000\0' + '0000000\0', 100, 'latin1')
  header.write(`${'0'.repeat(11)}\0${'0'.repeat(11)}\0`, 124, 'latin1')
  header.write('0', 156, 'latin1')
  header.write('ustar\0' + '00', 257, 'latin1')
  header.write('0000000\0' + '0000000\0', 329, 'latin1')
  return header
}

function writeBlock(
  into: Buffer,
  at: number,
  name: Buffer,
  { prefix, size, type = '0' }: { prefix?: Buffer; size: number; type?: string },
): number {
  let sum = startBlock(into, at)
  sum += sumOf(into, at, name.copy(into, at))
  if (prefix !== undefined) sum += sumOf(into, at + 345, prefix.copy(into, at + 345))
  into.write(type, at + 156, 'latin1')
  sum += (into[at + 156] ?? 0) - FILE_TYPE
  return endBlock(into, at, { size, sum })
}

/** Returns the sum of its bytes. */
function startBlock(into: Buffer, at: number): number {
  into.set(BLANK, at)
  return BLANK_SUM
}

/** `sum`: of all but the size. */
function endBlock(into: Buffer, at: number, { size, sum }: { size: number; sum: number }): number {
  let total = sum
  for (let rest = size, i = at + 134; rest > 0; i--) {
    const digit = rest % 8
    into[i] = 0x30 + digit
    total += digit
    rest = (rest - digit) / 8
  }
  for (let i = at + 153; i >= at + 148; i--) {
    into[i] = 0x30 + (total & 7)
    total >>>= 3
  }
  into[at + 155] = 0x20
  return TAR_BLOCK
}

function sumOf(bytes: Buffer, at: number, length: number): number {
  let sum = 0
  for (let i = at; i < at + length; i++) sum += bytes[i] ?? 0
  return sum
}
