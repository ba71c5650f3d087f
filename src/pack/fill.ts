import { isLongshoreError } from '../errors.ts'
import { type DaliVersion, daliVersionWith } from '../formats/dali-index.ts'
import type { Progress } from '../progress.ts'
import { BLOCK_BYTES } from '../transfer/types.ts'
import { findChanged, isBelow, isSourceChanged, type Source, sourceChanged } from './changed.ts'
import { type Desk, writeRecord } from './documents.ts'
import { eachOf } from './each-of.ts'
import { createGate, type Gate } from './gate.ts'
import { openOrder, type Turn } from './in-order.ts'
import { linkSignal } from './link-signal.ts'
import { namesBeside } from './names.ts'
import { createSumsCheck } from './part-sums.ts'
import { partSizeFor } from './parts.ts'
import { type PlanHead, planKeys, type ShardResult } from './plan-schema.ts'
import { isFinished } from './publish.ts'
import { measure, readSlice, readSliceBytes } from './slices.ts'
import { layoutOf } from './take-upload.ts'
import { uploadShard } from './upload-shard.ts'
import { writeIndexes } from './write-index.ts'

export interface FillOptions {
  source: Source
  plan: PlanHead
  /** Numbers of the shards to do. */
  shards: readonly number[]
  onChanged: 'fail' | 'skip'
  /** bytes; undefined: 8 MiB */
  partSize: number | undefined
  /** bytes; the engine's budget */
  memory: number
  /** The plan was there before this run: so may be uploads. */
  resumed: boolean
  progress: Progress
  /** Counts the checks that objects passed. */
  checks: Record<string, number>
  /** Parts that an earlier run had put up are counted here. */
  onKept(): void
}

interface Work extends FillOptions {
  gate: Gate
  turn: Turn
  needsSums: ReturnType<typeof createSumsCheck>
  onLeftOpen(parts: number): void
}

/** Shards worked on at once: the end of one (indexes, naming) hides behind the bytes of the next. */
const OPEN_SHARDS = 3
/**
 * Pieces of the parts that are given to the engine at once, beyond three parts: what waits there costs memory by the
 * piece, not by the byte, and thousands of requests ahead keep every slot busy.
 */
const PIECES_AHEAD = 20 * 1024
/** A shard whose upload vanishes is begun so often. */
const TRIES = 3

/**
 * Fills the given shards of a frozen plan. Rejects with the first failure, after clearing up; when the run was cut
 * off, parts that are up stay for the next one.
 */
export async function fillShards(desk: Desk, options: FillOptions): Promise<void> {
  // A failed shard stops the others: what they have is cleared up, what is finished is kept.
  const { signal, abort, unlink } = linkSignal(desk.signal)
  const most = Math.max(2, Math.floor(options.memory / (options.partSize ?? BLOCK_BYTES)) + 2)
  const gate = createGate({ most, least: Math.min(3, most), weight: PIECES_AHEAD })
  let [openParts, openUploads] = [0, 0]
  const onLeftOpen = (parts: number): void => {
    openParts += parts
    openUploads++
  }
  const work = { ...options, gate, needsSums: createSumsCheck(desk), onLeftOpen }
  const takeTurn = openOrder()
  try {
    await eachOf(options.shards, OPEN_SHARDS, async (i) => {
      const turn = takeTurn()
      try {
        await fillShard({ ...desk, signal }, i, { ...work, turn })
      } catch (error) {
        abort(error)
        throw signal.reason
      } finally {
        turn.over()
      }
    })
  } finally {
    unlink()
    if (openUploads > 0) {
      const path = `${desk.store.url}/${desk.prefix}`
      const hint = 'run the same command again: it goes on with them'
      const what = `uploads left open: ${openUploads}, parts of shards that are up in them: ${openParts}`
      options.progress.warn(what, { path, hint })
    }
  }
}

async function fillShard(desk: Desk, i: number, options: Work): Promise<void> {
  const { source, plan } = options
  const without = new Map<string, string>()
  let begun = 1
  for (;;) {
    try {
      await fillWithout(desk, i, without, { ...options, resumed: options.resumed || begun > 1 })
      return
    } catch (error) {
      if (isUploadGone(error, desk) && begun++ < TRIES && !desk.signal.aborted) {
        // Whoever finished the shard ended its upload with that.
        if (await isFinished(desk, plan, i)) return
        continue
      }
      if (!isSourceChanged(error, source) || desk.signal.aborted) throw error
      if (options.onChanged === 'fail') throw sourceChanged(error)
      const before = without.size
      const changed = await findChanged(readSlice(desk, plan, i, without), source, desk.signal)
      for (const [key, reason] of changed) without.set(key, reason)
      // It changed and changed back: nothing to leave out, and no way to tell what was read.
      if (without.size === before) throw sourceChanged(error)
    }
  }
}

/** Another run into this place, on another machine, ended our upload, or took it for a dead one's. */
function isUploadGone(error: unknown, desk: Desk): boolean {
  return isLongshoreError(error, 'NOT_FOUND') && isBelow(error.path, desk)
}

async function fillWithout(
  desk: Desk,
  i: number,
  without: ReadonlyMap<string, string>,
  options: Work,
): Promise<void> {
  const { source, plan, progress } = options
  const planned = plan.shards[i]
  if (planned === undefined) return
  const keys = planKeys(desk.prefix)
  const read = () => readSlice(desk, plan, i, without)
  const { size, bytes, samples, objects } = without.size === 0 ? planned : await measure(read())
  const left = [...without].map(([key, reason]) => ({ key, reason }))
  const finish = async (shard: ShardResult['shard']): Promise<void> => {
    const result: ShardResult = { format: 'longshore-shard', version: 1, shard, objects, bytes, left }
    await writeRecord(desk, keys.result(plan.digest, i), result)
  }
  if (samples === 0) return await finish(null)
  const { name, split } = planned
  const partSize = partSizeFor(size, options.partSize)
  let dali: DaliVersion | undefined = 'v1.2'
  async function* watched() {
    for await (const batch of read()) {
      for (const { members } of batch) dali = daliVersionWith(dali, members)
      yield batch
    }
  }
  await uploadShard(desk, watched(), {
    key: desk.prefix + name,
    size,
    partSize,
    record: keys.upload(plan.digest, i, layoutOf(partSize, without.keys())),
    store: desk.engine.attach(source.store),
    prefix: source.prefix,
    gate: options.gate,
    turn: options.turn,
    mayBeOpen: options.resumed,
    needsSums: options.needsSums,
    onLeftOpen: options.onLeftOpen,
    async beforeName(sums) {
      const names = namesBeside(name)
      const etags = source.store.kind === 's3'
      const lines = etags && without.size === 0 ? () => readSliceBytes(desk, plan, i) : undefined
      const about = { names, etags, dali, read, lines }
      const entry = await writeIndexes(desk, { name, split, size, samples, ...sums }, about)
      await finish(entry)
    },
    onPart(part, done, kept) {
      if (kept) options.onKept()
      progress.done({ bytes: part.length, objects: part.objects })
      for (const [check, times] of Object.entries(done.checks)) {
        options.checks[check] = (options.checks[check] ?? 0) + times
      }
    },
  })
  progress.item('shard', { name, size, samples, left: left.length })
}
