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
  if (!Number.isSafeInteger(size) || size < 0 || size > TAR_MAX_MEMBER) {
    throw new RangeError(`a tar member can't have ${size} bytes`)
  }
  const bytes = Buffer.from(name)
  const cut = cutName(bytes)
  if (cut !== undefined)
    return block(bytes.subarray(cut === 0 ? 0 : cut + 1), bytes.subarray(0, cut), size, '0')
  const record = paxRecord('path', bytes)
  return Buffer.concat([
    block(Buffer.from('././@PaxHeader'), Buffer.alloc(0), record.length, 'x'),
    record,
    Buffer.alloc(tarPadding(record.length)),
    block(headOf(bytes), Buffer.alloc(0), size, '0'),
  ])
}

/** Length of `tarHeader(name, …)`: planning needs it a million times, the bytes only once. */
export function tarHeaderBytes(name: string): number {
  // At most three bytes a UTF-16 unit: short names need no encoding to be measured.
  if (name.length * 3 <= NAME_BYTES) return TAR_BLOCK
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

/** 0: it fits as it is. Else the index of the '/' between prefix and name; undefined: ustar can't hold it. */
function cutName(bytes: Buffer): number | undefined {
  if (bytes.length <= NAME_BYTES) return 0
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

function block(name: Buffer, prefix: Buffer, size: number, type: string): Buffer {
  const header = Buffer.alloc(TAR_BLOCK)
  name.copy(header, 0)
  header.write('0000644\0' + '0000000\0' + '0000000\0', 100, 'latin1')
  header.write(`${size.toString(8).padStart(11, '0')}\0${'0'.repeat(11)}\0`, 124, 'latin1')
  // The checksum is taken with its own field as spaces.
  header.write(' '.repeat(8), 148, 'latin1')
  header.write(type, 156, 'latin1')
  header.write('ustar\0' + '00', 257, 'latin1')
  header.write('0000000\0' + '0000000\0', 329, 'latin1')
  prefix.copy(header, 345)
  let sum = 0
  for (const byte of header) sum += byte
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return header
}
