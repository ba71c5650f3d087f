import assert from 'node:assert/strict'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32, crcHex } from '../../src/checksum/crc32.ts'
import { isLongshoreError, LongshoreError } from '../../src/errors.ts'
import {
  type CommitRecord,
  decodeRecord,
  fileKey,
  isDataFile,
  type LogRecord,
  logKey,
} from '../../src/manifest/checkpoint.ts'
import { commitCheckpoint } from '../../src/sync/commit.ts'
import { type LogWriter, takeOver } from '../../src/sync/epoch.ts'
import { openLog } from '../../src/sync/log.ts'
import { finishRetired, retireCheckpoints } from '../../src/sync/retire.ts'
import type { StagedCheckpoint } from '../../src/sync/types.ts'
import { findCommitted, uploadCheckpoint } from '../../src/sync/upload.ts'
import { abortDeadUploads } from '../../src/sync/upload-abort.ts'
import {
  type MemoryBucket,
  memoryBucket,
  memoryEngine,
  memoryStore,
  type Turn,
} from '../support/memory-store.ts'
import { randomFrom } from '../support/random.ts'
import { makeCheckpoint } from '../support/staged.ts'
import { tempDir } from '../support/tmp.ts'

/**
 * Writers that come, crash, sleep and wake over one bucket, one store call at a time, in an order that the seed
 * decides. The oracle reads the bucket alone, after every call that changed it.
 */
const SEEDS = Number(process.env.LONGSHORE_MODEL_SEEDS ?? 40)
const PREFIX = 'runs/r1/'
const SIGNAL = new AbortController().signal
const CHANGES = new Set(['put', 'putPart', 'complete', 'createUpload', 'abortUpload', 'remove'])

interface Actor {
  id: number
  dir: string
  dead: boolean
  ended: string | undefined
  pending:
    | { resolve: () => void; reject: (error: unknown) => void; late: (gate: Promise<void>) => void }
    | undefined
}

class Crash extends Error {}

for (let first = 1; first <= SEEDS; first += 20) {
  const last = Math.min(SEEDS, first + 19)
  test(`every live commit stays whole and the newest never moves back, seeds ${first}–${last}`, async (t) => {
    for (let seed = first; seed <= last; seed++) {
      await simulate(seed, tempDir(t)).catch((error: unknown) => {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : error}`, { cause: error })
      })
    }
  })
}

async function simulate(seed: number, root: string): Promise<void> {
  const random = randomFrom(seed * 2_654_435_761)
  const pick = (n: number) => Math.floor(random() * n)
  const bucket = memoryBucket()
  if (random() < 0.3) bucket.ignores.checksums = true
  const putOnly = random() < 0.2
  if (putOnly) bucket.ignores.completeCondition = true
  const oracle = createOracle(bucket)
  const actors: Actor[] = []
  const late: (() => void)[] = []
  let changed = () => {}
  const made: Record<number, Map<string, Map<string, Buffer>>> = {}

  const turnFor =
    (actor: Actor): Turn =>
    (moment, call) => {
      if (actor.dead) throw new Crash('dead')
      if (!CHANGES.has(call.name)) return undefined
      return new Promise((resolve, reject) => {
        actor.pending = {
          resolve: () => resolve(undefined),
          reject,
          late: (gate) => (moment === 'before' ? resolve({ late: gate }) : reject(timeout())),
        }
        changed()
      })
    }
  const start = (dir: string) => {
    const actor: Actor = { id: actors.length, dir, dead: false, ended: undefined, pending: undefined }
    actors.push(actor)
    made[actor.id] = new Map()
    const place = { engine: memoryEngine(), store: memoryStore(bucket, turnFor(actor)), prefix: PREFIX }
    const conditional = putOnly ? 'put' : 'all'
    const run = async () => {
      const log = await openLog(place, { signal: SIGNAL })
      const options = {
        signal: SIGNAL,
        conditional,
        stateDir: join(dir, '.longshore'),
        host: `w${actor.id}`,
      } as const
      const writer = await retrying(() => takeOver(log, options))
      await writerLife(writer, { actor, made: made[actor.id] ?? new Map(), random })
    }
    run().then(
      () => finish(actor, 'done'),
      (error: unknown) => finish(actor, error instanceof Crash || actor.dead ? 'crash' : describe(error)),
    )
  }
  const finish = (actor: Actor, how: string) => {
    actor.ended = how
    actor.pending = undefined
    changed()
  }
  const quiet = async () => {
    for (;;) {
      const busy = actors.some((actor) => !actor.ended && !actor.pending)
      if (!busy) return
      await new Promise<void>((resolve) => {
        changed = resolve
      })
    }
  }

  start(join(root, 'a'))
  const attempts = 2 + pick(3)
  for (let step = 0; step < 4000; step++) {
    await quiet()
    oracle.check(made)
    const alive = actors.filter((actor) => actor.pending)
    if (late.length > 0 && random() < 0.15) {
      late.splice(pick(late.length), 1)[0]?.()
      // The effect runs in a microtask of its own.
      await new Promise(setImmediate)
      oracle.check(made)
    }
    if (actors.length < attempts && (alive.length === 0 || random() < 0.02)) {
      const used = new Set(actors.filter((actor) => !actor.ended).map((actor) => actor.dir))
      const dirs = ['a', 'b', 'c', 'd', 'e'].map((name) => join(root, name)).filter((dir) => !used.has(dir))
      start(dirs[0] ?? root)
      continue
    }
    if (alive.length === 0) break
    // Sleepers: with several alive, the older ones are woken rarely.
    const actor = alive[random() < 0.75 ? alive.length - 1 : pick(alive.length)]
    const pending = actor?.pending
    if (!actor || !pending) continue
    actor.pending = undefined
    const dice = random()
    if (dice < 0.008 && actors.length < attempts) {
      actor.dead = true
      pending.reject(new Crash('killed'))
    } else if (dice < 0.05) {
      pending.late(new Promise((resolve) => late.push(resolve)))
    } else pending.resolve()
  }
  for (const arrive of late) arrive()
  await new Promise(setImmediate)
  oracle.check(made)
  const ends = actors.map((actor) => actor.ended)
  for (const end of ends) assert.match(end ?? 'stuck', /^(done|crash|SUPERSEDED)$/)
  oracle.checkEnd(ends)
}

/** Three checkpoints: files of their own, one that never changes, one whose path comes again each time. */
async function writerLife(
  writer: LogWriter,
  life: { actor: Actor; made: Map<string, Map<string, Buffer>>; random: () => number },
): Promise<void> {
  const { actor, random } = life
  const options = { signal: SIGNAL, multipartAbove: 60, filesAtOnce: 1 }
  await retrying(() => finishRetired(writer, options))
  for (let ordinal = 1; ordinal <= 3; ordinal++) {
    // Attempts share names: an earlier one committed checkpoint-1 with other bytes.
    const name = `checkpoint-${ordinal}`
    const body = (n: number) => Buffer.from(`${actor.id}.${ordinal}.${random()} `.repeat(n))
    const files = {
      [`${name}/small.bin`]: body(1),
      [`${name}/large.bin`]: body(4),
      [`${name}/config.json`]: Buffer.from('{"the same": "in every attempt"}'),
      'shared/tokenizer.json': Buffer.from('{"the same": "in every checkpoint"}'),
      'last.ckpt': body(2),
    }
    await rm(join(actor.dir, name), { recursive: true, force: true })
    await rename(join(actor.dir, 'last.ckpt'), join(actor.dir, 'old.ckpt')).catch(() => undefined)
    await rm(join(actor.dir, 'shared'), { recursive: true, force: true })
    const staged = await makeCheckpoint(actor.dir, { name, ordinal, files, pointers: { latest: name } })
    life.made.set(`${name}#${ordinal}`, new Map(Object.entries(files)))
    await retrying(() => commitOnce(writer, staged, options))
    if (ordinal > 1) await retrying(() => retireCheckpoints(writer, { ...options, keepLast: 2 }))
    await writeFile(join(actor.dir, 'progress'), String(ordinal))
  }
  await retrying(() => abortDeadUploads(writer, { ...options, drained: true }))
}

async function commitOnce(
  writer: LogWriter,
  staged: StagedCheckpoint,
  options: { signal: AbortSignal; multipartAbove: number; filesAtOnce: number },
): Promise<void> {
  if (findCommitted(writer, staged)) return
  const uploaded = await uploadCheckpoint(writer, staged, options)
  await retrying(() => commitCheckpoint(writer, uploaded, options))
}

/** What the sidecar does: anything but the end of its epoch is tried again. */
async function retrying<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await work()
    } catch (error) {
      const again = isLongshoreError(error) && error.code !== 'SUPERSEDED' && error.code !== 'BAD_MANIFEST'
      if (!again || tries > 50) throw error
    }
  }
}

function createOracle(bucket: MemoryBucket) {
  let newest = [0, 0]
  let records: LogRecord[] = []
  return {
    check(made: Record<number, Map<string, Map<string, Buffer>>>) {
      records = readLog(bucket)
      const writers = new Map<number, number>()
      const retired = new Set<number>()
      let epoch = 0
      for (const record of records) {
        assert.ok(
          record.epoch >= epoch,
          `record ${record.seq} of epoch ${record.epoch} came after epoch ${epoch}`,
        )
        epoch = record.epoch
        if (record.type === 'takeover') writers.set(epoch, Number(record.host?.slice(1)))
        if (record.type === 'retire') for (const commit of record.commits) retired.add(commit.seq)
      }
      const live = records.filter((r): r is CommitRecord => r.type === 'commit' && !retired.has(r.seq))
      for (const commit of live) {
        const truth = made[writers.get(commit.epoch) ?? -1]?.get(`${commit.name}#${commit.ordinal}`)
        assert.equal(commit.files.length, truth?.size)
        for (const file of commit.files) checkFile(bucket, commit, file, truth?.get(file.path))
      }
      const top = live.map((c) => [c.epoch, c.ordinal]).reduce((a, b) => (compare(a, b) < 0 ? b : a), [0, 0])
      assert.ok(compare(top, newest) >= 0, `the newest went back from ${newest} to ${top}`)
      newest = top
    },
    checkEnd(ends: (string | undefined)[]) {
      const winner = records.findLast((record) => record.type === 'takeover')
      if (winner?.type !== 'takeover' || ends[Number(winner.host?.slice(1))] !== 'done') return
      const own = records.filter((r): r is CommitRecord => r.type === 'commit' && r.nonce === winner.nonce)
      assert.deepEqual(
        own.map((commit) => commit.ordinal),
        [1, 2, 3],
        'the last writer committed each checkpoint once',
      )
    },
  }
}

function checkFile(
  bucket: MemoryBucket,
  commit: CommitRecord,
  file: CommitRecord['files'][number],
  truth: Buffer | undefined,
): void {
  if (!isDataFile(file)) return
  const object = bucket.objects.get(PREFIX + fileKey(file))
  const what = `${file.path} of commit ${commit.seq} (epoch ${commit.epoch}) at ${fileKey(file)}`
  assert.ok(object, `${what} is gone`)
  assert.ok(truth?.equals(object.body), `${what} has other bytes`)
  assert.equal(crcHex(crc32(object.body)), file.crc32)
}

function readLog(bucket: MemoryBucket): LogRecord[] {
  const records: LogRecord[] = []
  for (let seq = 1; ; seq++) {
    const object = bucket.objects.get(PREFIX + logKey(seq))
    if (!object) break
    records.push(decodeRecord(object.body, { seq, url: logKey(seq) }))
  }
  const all = [...bucket.objects.keys()].filter((key) => key.startsWith(`${PREFIX}.longshore/log/`))
  assert.equal(all.length, records.length, 'the log has no gap')
  return records
}

function compare(a: number[], b: number[]): number {
  return (a[0] ?? 0) - (b[0] ?? 0) || (a[1] ?? 0) - (b[1] ?? 0)
}

function timeout(): LongshoreError {
  return new LongshoreError('TIMEOUT', 'the answer was lost')
}

function describe(error: unknown): string {
  return error instanceof LongshoreError && error.code === 'SUPERSEDED'
    ? error.code
    : String((error as Error).stack)
}
