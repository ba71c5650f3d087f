import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { writeFileDurable } from '../fs/durable.ts'
import type { LogWriter } from './epoch.ts'
import { type CommitHead, placeUrl } from './log.ts'
import { readRecord } from './log-read.ts'

/**
 * DIR/.longshore/handled.json: what lies in DIR and was committed, by name. The notes on known files end with their
 * commit's retirement; without these, a restart would take a retired checkpoint that is still in DIR for a new one,
 * and make it the newest.
 */
export interface Handled {
  /** name → identity: left out by the judge, which also drops names that are gone. */
  readonly names: Map<string, string>
  /** Noted as committed or overtaken once, though it was gone from DIR meanwhile (unmounted, moved away). */
  isNoted(name: string, identity: string): boolean
  /** It is this commit. Written to the disk before it returns. */
  note(name: string, identity: string, head: Pick<CommitHead, 'seq' | 'nonce'>): Promise<void>
  /** It will not be committed: this commit came after it. */
  noteOvertaken(name: string, identity: string, by: Pick<CommitHead, 'seq' | 'nonce'>): Promise<void>
}

/** Notes about what is not in DIR any more: each costs a request at the next start. */
const GONE = 200
const READS_AT_ONCE = 16

const entrySchema = z.strictObject({
  name: z.string(),
  identity: z.string().regex(/^[0-9a-f]{64}$/),
  seq: z.number().int().positive(),
  nonce: z.string(),
  /** Not this commit: one that this commit was newer than. */
  overtaken: z.literal(true).optional(),
})
const fileSchema = z.strictObject({ version: z.literal(1), run: z.string(), done: z.array(entrySchema) })
type Entry = z.infer<typeof entrySchema>

/** Reads the notes; one is believed when the log has that very commit, live or retired. */
export async function openHandled(writer: LogWriter, options: { signal: AbortSignal }): Promise<Handled> {
  const path = join(writer.stateDir, 'handled.json')
  const run = placeUrl(writer)
  const notes = new Map<string, Entry>()
  const names = new Map<string, string>()
  const read = await readNotes(path, run)
  for (let at = 0; at < read.length; at += READS_AT_ONCE) {
    const some = read.slice(at, at + READS_AT_ONCE)
    const there = await Promise.all(some.map((entry) => isInLog(writer, entry, options)))
    for (const [n, entry] of some.entries()) {
      if (!there[n]) continue
      notes.set(entry.name, entry)
      names.set(entry.name, entry.identity)
    }
  }

  async function save(entry: Entry): Promise<void> {
    // Set anew: the order is that of the notes, and the oldest go first.
    notes.delete(entry.name)
    const gone = [...notes.keys()].filter((name) => !names.has(name))
    for (const name of gone.slice(0, Math.max(0, gone.length - GONE))) notes.delete(name)
    notes.set(entry.name, entry)
    await writeFileDurable(path, `${JSON.stringify({ version: 1, run, done: [...notes.values()] })}\n`)
  }

  return {
    names,
    isNoted: (name, identity) => notes.get(name)?.identity === identity,
    async note(name, identity, { seq, nonce }) {
      const known = notes.get(name)
      if (known?.seq === seq && known.identity === identity && !known.overtaken) return
      await save({ name, identity, seq, nonce })
    },
    async noteOvertaken(name, identity, { seq, nonce }) {
      await save({ name, identity, seq, nonce, overtaken: true })
    },
  }
}

async function isInLog(writer: LogWriter, entry: Entry, options: { signal: AbortSignal }): Promise<boolean> {
  const isIt = (found: { nonce: string; name: string }): boolean =>
    found.nonce === entry.nonce && (entry.overtaken === true || found.name === entry.name)
  const live = writer.commits.get(entry.seq)
  if (live !== undefined) return isIt(live)
  if (entry.seq > writer.seq) return false
  // Retired, or another run began at the same address: only the record tells.
  const record = await readRecord(writer, entry.seq, options)
  return record?.type === 'commit' && isIt(record)
}

async function readNotes(path: string, run: string): Promise<Entry[]> {
  try {
    const file = fileSchema.parse(JSON.parse(await readFile(path, 'utf8')))
    return file.run === run ? file.done : []
  } catch {
    // Missing or damaged: what is committed and live is still known by its files.
    return []
  }
}
