import { LongshoreError } from '../errors.ts'
import type { CommitRecord } from '../manifest/checkpoint.ts'
import { type CommitHead, findLastSeq, type LogPlace, openLog, placeUrl } from './log.ts'
import { readCommit, readRecords } from './log-read.ts'
import { compareNewest, newestCommit } from './log-state.ts'

/** Records read ahead while looking for the newest commit: it is nearly always the last or the one before. */
const AHEAD = 3

/**
 * The newest live commit, or undefined when there is none. Reads the log from its end, as far as the last commit:
 * that one names the newest. Only when it was retired since is the whole log read.
 */
export async function pickNewest(
  place: LogPlace,
  options: { signal: AbortSignal },
): Promise<CommitRecord | undefined> {
  const last = await findLastSeq(place, options)
  const retired = new Set<number>()
  const back = function* () {
    for (let seq = last; seq > 0; seq--) yield seq
  }
  for await (const record of readRecords(place, back(), { ...options, concurrency: AHEAD })) {
    if (record.type === 'retire') for (const commit of record.commits) retired.add(commit.seq)
    if (record.type !== 'commit') continue
    if (retired.has(record.newest)) break
    return record.newest === record.seq ? record : readCommit(place, record.newest, options)
  }
  if (retired.size === 0) return undefined
  const head = newestCommit((await openLog(place, options)).commits.values())
  return head && readCommit(place, head.seq, options)
}

/**
 * The newest live commit of a step, or of a name. A number is a step first, then a name (Orbax names by number).
 * Undefined when the run has no commit at all; NOT_FOUND, naming what there is, when it has others.
 */
export async function pickStep(
  place: LogPlace,
  step: number | string,
  options: { signal: AbortSignal },
): Promise<CommitRecord | undefined> {
  const heads = await listCommits(place, options)
  const found =
    heads.find((head) => head.step === step) ??
    heads.find((head) => head.name === String(step)) ??
    heads.find((head) => /^\d+$/.test(String(step)) && head.step === Number(step))
  if (found) return readCommit(place, found.seq, options)
  if (heads.length === 0) return undefined
  const some = heads
    .slice(0, 5)
    .map((head) => (head.step === null ? head.name : `${head.name} (${head.step})`))
  throw new LongshoreError('NOT_FOUND', `${placeUrl(place)} has no checkpoint ${step}`, {
    path: placeUrl(place),
    hint: `it has ${some.join(', ')}${heads.length > 5 ? ' and older ones' : ''}; --list shows all`,
  })
}

/** Live commits, newest first. */
export async function listCommits(place: LogPlace, options: { signal: AbortSignal }): Promise<CommitHead[]> {
  const log = await openLog(place, options)
  return [...log.commits.values()].sort(compareNewest)
}

/** What a user may fall back to: the newest live commit before this one. */
export async function findPrevious(
  place: LogPlace,
  seq: number,
  options: { signal: AbortSignal },
): Promise<{ previous: CommitHead | undefined; retired: boolean }> {
  const heads = await listCommits(place, options)
  return { previous: heads.find((head) => head.seq < seq), retired: heads.every((head) => head.seq !== seq) }
}
