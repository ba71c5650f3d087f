import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { crc32, crcHex } from '../checksum/crc32.ts'

/** What a journal belongs to: any difference, and what it says is void. */
export interface JournalIdentity {
  key: string
  size: number
  etag: string
  /** bytes a range; the last one may be shorter */
  part: number
}

export interface JournalRange {
  offset: number
  length: number
  crc32: number
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

const VERSION = 1

/**
 * The journal of one large file in the making: a header line, then a line a finished range, each closed by its
 * own CRC-32, so that a torn last line is seen and dropped. Returns undefined when there is none for `identity`.
 */
export function resumeJournal(path: string, identity: JournalIdentity): RangeJournal | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
  const lines = text.split('\n')
  const header = unseal(lines[0] ?? '')
  if (header?.length !== 6 || header[0] !== VERSION) return undefined
  const [, key, size, etag, part, boot] = header
  if (key !== identity.key || size !== identity.size || etag !== identity.etag) return undefined
  if (part !== identity.part || typeof boot !== 'string') return undefined
  const done = new Map<number, JournalRange>()
  for (const text of lines.slice(1)) {
    const range = toRange(unseal(text), identity)
    if (range) done.set(range.offset, range)
  }
  // A torn last line would swallow the next one that is appended: close it first.
  return openForAppend(path, done, boot, text.endsWith('\n') ? '' : '\n')
}

/** A new journal, empty or with the ranges that were found good. Replaces what was there in one step. */
export async function startJournal(
  path: string,
  identity: JournalIdentity,
  options: { boot: string; done?: Iterable<JournalRange> | undefined },
): Promise<RangeJournal> {
  const done = new Map<number, JournalRange>()
  for (const range of options.done ?? []) done.set(range.offset, range)
  const { key, size, etag, part } = identity
  const header = seal([VERSION, key, size, etag, part, options.boot])
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
  return seal([offset, length, crcHex(crc), check])
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

function toRange(fields: unknown[] | undefined, { size, part }: JournalIdentity): JournalRange | undefined {
  const [offset, length, crc, check] = fields ?? []
  if (typeof offset !== 'number' || typeof length !== 'number') return undefined
  if (typeof crc !== 'string' || !/^[0-9a-f]{8}$/.test(crc) || typeof check !== 'string') return undefined
  if (offset % part !== 0 || offset >= size || length !== Math.min(part, size - offset)) return undefined
  return { offset, length, crc32: Number.parseInt(crc, 16), check }
}
