import { LOG_FORMAT, LOG_VERSION, type RetireRecord } from '../manifest/checkpoint.ts'
import { type Progress, SILENT } from '../progress.ts'
import { inTurn, type LogWriter } from './epoch.ts'
import type { CommitHead } from './log.ts'
import { appendRecord } from './log-append.ts'
import { readRecords } from './log-read.ts'
import { fingerprint, keysOf } from './log-state.ts'
import { type KeepPolicy, planRetire } from './retire-plan.ts'
import { forgetKnown } from './upload-known.ts'

export { type KeepPolicy, planRetire } from './retire-plan.ts'

/** Commits in one retire record: their keys are held at once while they are deleted. */
const PER_RECORD = 64
/** Keys in one delete request, S3's limit. */
const PER_DELETE = 1000

/**
 * Retires what the policy lets go: a retire record first, then the deletion of objects that no live commit and no
 * upload in progress names. Call after each commit. A crash in between is mended by finishRetired.
 */
export async function retireCheckpoints(
  writer: LogWriter,
  options: KeepPolicy & { signal: AbortSignal; progress?: Progress | undefined },
): Promise<CommitHead[]> {
  const { signal, progress = SILENT } = options
  return inTurn(writer, async () => {
    const gone = planRetire(writer.commits.values(), options)
    for (let at = 0; at < gone.length; at += PER_RECORD) {
      const heads = gone.slice(at, at + PER_RECORD)
      await appendRetire(writer, heads, signal)
      forgetKnown(
        writer.known,
        heads.map((head) => head.seq),
      )
    }
    const deleted = await sweep(writer, signal)
    if (deleted > 0) progress.debug(`${deleted} objects of retired checkpoints are deleted`)
    return gone
  })
}

/** Deletes what earlier retire records left behind. Call once after takeOver. */
export async function finishRetired(
  writer: LogWriter,
  options: { signal: AbortSignal },
): Promise<{ deleted: number }> {
  return { deleted: await inTurn(writer, () => sweep(writer, options.signal)) }
}

async function appendRetire(
  writer: LogWriter,
  heads: readonly CommitHead[],
  signal: AbortSignal,
): Promise<void> {
  const commits = heads.map(({ seq, name }) => ({ seq, name }))
  const same = JSON.stringify(commits)
  await appendRecord<RetireRecord>(writer, {
    signal,
    conditional: writer.conditional,
    epoch: writer.own,
    build: (seq) => ({
      format: LOG_FORMAT,
      version: LOG_VERSION,
      type: 'retire',
      seq,
      epoch: writer.own,
      nonce: writer.nonce,
      at: new Date().toISOString(),
      commits,
      swept: Math.min(seq, ...writer.unswept.keys()) - 1,
    }),
    isMine: (found): found is RetireRecord =>
      found.type === 'retire' && found.nonce === writer.nonce && JSON.stringify(found.commits) === same,
  })
}

/**
 * The deletions of every retire record that may have some left. Safe however late it runs, even in a writer that
 * was superseded meanwhile: a key that only retired commits name is never written or named again.
 */
async function sweep(writer: LogWriter, signal: AbortSignal): Promise<number> {
  let deleted = 0
  for (const [retire, seqs] of [...writer.unswept]) {
    const keys = new Set<string>()
    for await (const commit of readRecords(writer, seqs, { signal })) {
      if (commit.type === 'commit') for (const key of keysOf(commit)) keys.add(key)
    }
    let held = false
    const doomed = [...keys].filter((key) => {
      if ((writer.names.get(fingerprint(key)) ?? 0) > 0) return false
      if (!writer.pins.has(key)) return true
      held = true
      return false
    })
    for (let at = 0; at < doomed.length; at += PER_DELETE) {
      const batch = doomed.slice(at, at + PER_DELETE).map((key) => writer.prefix + key)
      await writer.store.remove(batch, { signal })
    }
    deleted += doomed.length
    // An upload in progress relies on some of them: looked at again with the next retire.
    if (!held) writer.unswept.delete(retire)
  }
  return deleted
}
