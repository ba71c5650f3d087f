import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
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
  /** It is this commit. Written to the disk before it returns. */
  note(name: string, identity: string, head: Pick<CommitHead, 'seq' | 'nonce'>): Promise<void>
}

const entrySchema = z.strictObject({
  name: z.string(),
  identity: z.string().regex(/^[0-9a-f]{64}$/),
  seq: z.number().int().positive(),
  nonce: z.string(),
})
const fileSchema = z.strictObject({ version: z.literal(1), run: z.string(), done: z.array(entrySchema) })
type Entry = z.infer<typeof entrySchema>

/** Reads the notes; one is believed when the log has that very commit, live or retired. */
export async function openHandled(writer: LogWriter, options: { signal: AbortSignal }): Promise<Handled> {
  const path = join(writer.stateDir, 'handled.json')
  const run = placeUrl(writer)
  const notes = new Map<string, Entry>()
  const names = new Map<string, string>()
  for (const entry of await readNotes(path, run)) {
    if (!(await isInLog(writer, entry, options))) continue
    notes.set(entry.name, entry)
    names.set(entry.name, entry.identity)
  }
  return {
    names,
    async note(name, identity, { seq, nonce }) {
      if (notes.get(name)?.seq === seq) return
      for (const known of notes.keys()) if (!names.has(known)) notes.delete(known)
      notes.set(name, { name, identity, seq, nonce })
      await writeFileDurable(path, `${JSON.stringify({ version: 1, run, done: [...notes.values()] })}\n`)
    },
  }
}

async function isInLog(writer: LogWriter, entry: Entry, options: { signal: AbortSignal }): Promise<boolean> {
  const live = writer.commits.get(entry.seq)
  if (live !== undefined) return live.nonce === entry.nonce && live.name === entry.name
  if (entry.seq > writer.seq) return false
  // Retired, or another run began at the same address: only the record tells.
  const record = await readRecord(writer, entry.seq, options)
  return record?.type === 'commit' && record.nonce === entry.nonce && record.name === entry.name
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
