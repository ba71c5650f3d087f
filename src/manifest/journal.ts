import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { crc32, crcHex } from '../checksum/crc32.ts'

/** What a journal belongs to: any difference, and what it says is void. */
export interface JournalIdentity {
  key: string
  size: number
  etag: string
}

export interface JournalRange {
  offset: number
  length: number
  /** undefined: not taken. It can't be believed in another boot. */
  crc32: number | undefined
  /** Which check its bytes passed: 'crc32', 'size' … */
  check: string
}

export interface RangeJournal {
  /** Finished ranges by their first byte. */
  readonly done: ReadonlyMap<number, JournalRange>
  /** Boot in which it was written: in another one the ranges are to be read again. '' is no boot. */
  readonly boot: string
  /** Written at once, not synced: it survives a kill, and after a reboot the ranges are checked by their CRC. */
  add(range: JournalRange): void
  close(): void
}

/** 1 was tied to one part size. */
const VERSION = 2

/**
 * The journal of one large file in the making: a header line, then a line a finished range, each closed by its
 * own CRC-32, so that a torn last line is seen and dropped. Ranges have any size: another run may cut the rest
 * into other parts. Returns undefined when there is none for `identity`.
 */
export function resumeJournal(path: string, identity: JournalIdentity): RangeJournal | undefined {
  const found = readJournal(path, identity)
  // A torn last line would swallow the next one that is appended: close it first.
  return found && openForAppend(path, found.done, found.boot, found.torn ? '\n' : '')
}

/** The same for a question: nothing is opened for writing, so it may be somebody else's, or on a read-only disk. */
export function readJournal(
  path: string,
  identity: JournalIdentity,
): { done: Map<number, JournalRange>; boot: string; torn: boolean } | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
  const lines = text.split('\n')
  const header = unseal(lines[0] ?? '')
  if (header?.length !== 5 || header[0] !== VERSION) return undefined
  const [, key, size, etag, boot] = header
  if (key !== identity.key || size !== identity.size || etag !== identity.etag) return undefined
  if (typeof boot !== 'string') return undefined
  const ranges = lines.slice(1).flatMap((line) => toRange(unseal(line), identity) ?? [])
  const done = new Map<number, JournalRange>()
  let end = 0
  for (const range of ranges.sort((a, b) => a.offset - b.offset)) {
    if (range.offset < end) continue
    done.set(range.offset, range)
    end = range.offset + range.length
  }
  return { done, boot, torn: !text.endsWith('\n') }
}

/** A new journal, empty or with the ranges that were found good. Replaces what was there in one step. */
export async function startJournal(
  path: string,
  identity: JournalIdentity,
  options: { boot: string; done?: Iterable<JournalRange> | undefined },
): Promise<RangeJournal> {
  const done = new Map<number, JournalRange>()
  for (const range of options.done ?? []) done.set(range.offset, range)
  const { key, size, etag } = identity
  const header = seal([VERSION, key, size, etag, options.boot])
  const temp = `${path}.new`
  await writeFile(temp, header + [...done.values()].map(line).join(''), { mode: 0o600 })
  await rename(temp, path)
  return openForAppend(path, done, options.boot, '')
}

export async function dropJournal(path: string): Promise<void> {
  await rm(path, { force: true })
}

function openForAppend(
  path: string,
  done: Map<number, JournalRange>,
  boot: string,
  mend: string,
): RangeJournal {
  const fd = openSync(path, 'a', 0o600)
  let open = true
  if (mend !== '') writeSync(fd, mend)
  return {
    done,
    boot,
    add(range) {
      done.set(range.offset, range)
      writeSync(fd, line(range))
    },
    close() {
      if (open) closeSync(fd)
      open = false
    },
  }
}

function line({ offset, length, crc32: crc, check }: JournalRange): string {
  return seal([offset, length, crc === undefined ? '' : crcHex(crc), check])
}

function seal(fields: readonly unknown[]): string {
  const json = JSON.stringify(fields)
  return `${json} ${crcHex(crc32(Buffer.from(json)))}\n`
}

function unseal(text: string): unknown[] | undefined {
  const json = text.slice(0, -9)
  if (text.at(-9) !== ' ' || text.slice(-8) !== crcHex(crc32(Buffer.from(json)))) return undefined
  try {
    const value: unknown = JSON.parse(json)
    return Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

function toRange(fields: unknown[] | undefined, { size }: JournalIdentity): JournalRange | undefined {
  const [offset, length, crc, check] = fields ?? []
  if (!isCount(offset) || !isCount(length) || length === 0 || offset + length > size) return undefined
  if (typeof crc !== 'string' || !/^([0-9a-f]{8})?$/.test(crc) || typeof check !== 'string') return undefined
  return { offset, length, crc32: crc === '' ? undefined : Number.parseInt(crc, 16), check }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
