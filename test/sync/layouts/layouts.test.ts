import assert from 'node:assert/strict'
import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { Candidate } from '../../../src/sync/layouts/layout.ts'
import { createScanner } from '../../../src/sync/scan.ts'
import { identityOf } from '../../../src/sync/scan-settled.ts'
import { matchPaths } from '../../../src/sync/sidecar-globs.ts'
import { createJudge, type Judged } from '../../../src/sync/sidecar-judge.ts'
import { tempDir } from '../../support/tmp.ts'
import { indexBytes, writeTensorflow } from './tensorflow-writer.ts'

interface Options {
  layout?: string
  marker?: string
  also?: string
}

/** Scans and judges on a clock of the test's own: 1 s a pass, --settle 10 s. */
function watcher(dir: string, { layout = 'auto', marker, also }: Options = {}) {
  let at = 0
  const scanner = createScanner(dir, { now: () => at })
  const glob = (text: string) => matchPaths([text])
  const judge = createJudge({
    dir,
    layout,
    marker: marker === undefined ? undefined : glob(marker),
    also: also === undefined ? () => false : glob(also),
    settle: 10_000,
    rescan: 1_000,
  })
  let hot = new Set<string>()
  const handled = new Map<string, string>()
  const look = async (final = false): Promise<Judged> => {
    at += 1_000
    const judged = await judge.judge((await scanner.scan({ hot })) ?? assert.fail(), handled, { final })
    hot = judged.hot
    return judged
  }
  return {
    look,
    handled,
    /** Names that are ready after some passes in which nothing changes. */
    async ready(passes = 12): Promise<Candidate[]> {
      let judged = await look()
      for (let n = 1; n < passes; n++) judged = await look()
      return judged.ready
    },
  }
}

const names = (candidates: Candidate[]): string[] => candidates.map((each) => each.name)
const files = (candidate: Candidate | undefined): string[] =>
  (candidate?.files ?? []).map((file) => file.path).sort()

function put(dir: string, tree: Record<string, string>): void {
  for (const [path, text] of Object.entries(tree)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true })
    writeFileSync(join(dir, path), text)
  }
}

test('tensorflow: killed between any two writes of a save, the checkpoint is not taken for complete', async (t) => {
  const steps = [...writeTensorflow('ckpt-1', { shards: 3 })]
  for (let done = 0; done < steps.length; done++) {
    const dir = tempDir(t)
    for (const step of steps.slice(0, done)) step(dir)
    assert.deepEqual(names(await watcher(dir).ready(15)), [], `after ${done} of ${steps.length} writes`)
  }
  const dir = tempDir(t)
  for (const step of steps) step(dir)
  const [found] = await watcher(dir).ready(2)
  assert.equal(found?.name, 'ckpt-1')
  assert.equal(found?.step, 1)
  assert.deepEqual(files(found), [
    'ckpt-1.data-00000-of-00003',
    'ckpt-1.data-00001-of-00003',
    'ckpt-1.data-00002-of-00003',
    'ckpt-1.index',
  ])
})

test('tensorflow: a second save killed anywhere leaves the first one complete and alone', async (t) => {
  const steps = [...writeTensorflow('ckpt-2', { before: ['ckpt-1'], remove: ['ckpt-1'] })]
  const listed = steps.findIndex((step) => step.name === 'checkpoint') + 1
  for (let done = 0; done <= steps.length; done++) {
    const dir = tempDir(t)
    for (const step of writeTensorflow('ckpt-1')) step(dir)
    for (const step of steps.slice(0, done)) step(dir)
    const found = names(await watcher(dir).ready(2))
    if (done < listed) assert.deepEqual(found, ['ckpt-1'], `after ${done}`)
    else assert.equal(found.at(-1), 'ckpt-2', `after ${done}`)
  }
})

test('tensorflow: every listed checkpoint comes with a pointer at itself, the newest with the very bytes', async (t) => {
  const dir = tempDir(t)
  for (const step of writeTensorflow('ckpt-9')) step(dir)
  for (const step of writeTensorflow('ckpt-10', { before: ['ckpt-9'] })) step(dir)
  const found = await watcher(dir).ready(2)
  assert.deepEqual(names(found), ['ckpt-9', 'ckpt-10'])
  const texts = found.map((each) => Buffer.from(each.pointers[0]?.bytes ?? []).toString())
  assert.match(texts[0] ?? '', /^model_checkpoint_path: "ckpt-9"\nall_model_checkpoint_paths: "ckpt-9"\n$/)
  assert.match(texts[1] ?? '', /^model_checkpoint_path: "ckpt-10"\nall_model_checkpoint_paths: "ckpt-9"\n/)
})

test('tensorflow: escaped names, absolute paths inside DIR and sub-folders are understood; paths outside are not ours', async (t) => {
  const dir = tempDir(t)
  const name = 'schräg "7"'
  put(dir, { [`m/${name}.data-00000-of-00001`]: 'd', 'm/abs-3.data-00000-of-00001': 'd' })
  writeFileSync(join(dir, 'm', `${name}.index`), indexBytes())
  writeFileSync(join(dir, 'm', 'abs-3.index'), indexBytes())
  writeFileSync(
    join(dir, 'm', 'checkpoint'),
    [
      'model_checkpoint_path: "schr\\303\\244g \\"7\\""',
      `all_model_checkpoint_paths: "${dir}/m/abs-3"`,
      'all_model_checkpoint_paths: "/elsewhere/ckpt-1"',
      'all_model_checkpoint_timestamps: 1.5\n',
    ].join('\n'),
  )
  assert.deepEqual(names(await watcher(dir).ready(2)).sort(), ['m/abs-3', `m/${name}`])
})

test('tensorflow: an index that is cut short, or a shard of another count, is waited for and named', async (t) => {
  const dir = tempDir(t)
  for (const step of writeTensorflow('ckpt-1')) step(dir)
  writeFileSync(join(dir, 'ckpt-1.index'), indexBytes().subarray(0, 50))
  const watch = watcher(dir)
  await watch.look()
  assert.match((await watch.look()).waiting[0]?.why ?? '', /\.index is cut short/)
  writeFileSync(join(dir, 'ckpt-1.index'), indexBytes())
  writeFileSync(join(dir, 'ckpt-1.data-00000-of-00002'), '')
  await watch.look()
  assert.match((await watch.look()).waiting[0]?.why ?? '', /data shards/)
})

test('tensorflow: data that is newer than its index is a save under the same name, and waits for --settle', async (t) => {
  const dir = tempDir(t)
  for (const step of writeTensorflow('best')) step(dir)
  // A save replaces the data, and takes its time for the index: until then both are whole, of two saves.
  const data = join(dir, 'best.data-00000-of-00001')
  writeFileSync(data, 'data of the next save')
  utimesSync(data, new Date(), new Date(Date.now() + 5_000))
  const watch = watcher(dir)
  assert.deepEqual(names(await watch.ready(5)), [])
  assert.deepEqual(names(await watch.ready(10)), ['best'])
})

test('auto: traces of an unfinished TensorFlow save keep the settle rule away from it', async (t) => {
  const dir = tempDir(t)
  put(dir, { 'ckpt-1.data-00000-of-00001': 'd', 'events.out.tfevents.1': 'e' })
  const watch = watcher(dir)
  assert.deepEqual(names(await watch.ready(30)), [])
  assert.equal((await watch.look()).layout, 'tensorflow')
})

test('auto: a SavedModel alone is no TensorFlow training folder', async (t) => {
  const dir = tempDir(t)
  put(dir, {
    'export/saved_model.pb': 'x',
    'export/variables/variables.index': 'x',
    'export/variables/variables.data-00000-of-00001': 'x',
  })
  assert.deepEqual(names(await watcher(dir).ready()), ['export'])
})

test('marker: a folder is complete with its marker, and not before, whatever the order of its other files', async (t) => {
  const dir = tempDir(t)
  put(dir, { 'step-5/a.bin': 'a', 'step-5/sub/b.bin': 'b' })
  const watch = watcher(dir, { marker: '*/DONE' })
  assert.deepEqual(names(await watch.ready(20)), [])
  put(dir, { 'step-5/DONE': '' })
  await watch.look()
  const { ready } = await watch.look()
  assert.deepEqual(names(ready), ['step-5'])
  assert.deepEqual(files(ready[0]), ['step-5/DONE', 'step-5/a.bin', 'step-5/sub/b.bin'])
  assert.equal(ready[0]?.step, 5)
})

test('marker: a save into the same folder leaves the old marker, which then proves nothing', async (t) => {
  const dir = tempDir(t)
  put(dir, { 'last/a.bin': 'a', 'last/DONE': '' })
  utimesSync(join(dir, 'last/DONE'), 10, 10)
  utimesSync(join(dir, 'last/a.bin'), 20, 20)
  const watch = watcher(dir, { marker: 'DONE' })
  assert.deepEqual(names(await watch.ready()), [])
  assert.match((await watch.look()).waiting[0]?.why ?? '', /newer than its marker/)
  utimesSync(join(dir, 'last/DONE'), 20, 20)
  await watch.look()
  assert.deepEqual(names((await watch.look()).ready), ['last'])
})

test('marker: one at the top completes DIR itself', async (t) => {
  const dir = tempDir(t)
  put(dir, { 'a/x': '1', DONE: '' })
  const [only, ...more] = await watcher(dir, { marker: 'DONE' }).ready(2)
  assert.equal(only?.name, '.')
  assert.deepEqual(files(only), ['DONE', 'a/x'])
  assert.deepEqual(more, [])
})

test('marker: links and small files that point at a folder go with it and are no change of it', async (t) => {
  const dir = tempDir(t)
  put(dir, { 's-1/a': 'a', 's-1/DONE': '', latest: 's-1\n' })
  symlinkSync('s-1', join(dir, 'current'))
  const watch = watcher(dir, { marker: 'DONE' })
  const [first] = await watch.ready(2)
  assert.deepEqual(
    first?.pointers.map((each) => each.path),
    ['latest'],
  )
  assert.deepEqual(
    first?.links.map((each) => each.path),
    ['current'],
  )
  assert.ok(first)
  watch.handled.set('s-1', identityOf(first))
  put(dir, { 's-2/a': 'a', 's-2/DONE': '', latest: 's-2\n' })
  rmSync(join(dir, 'current'))
  symlinkSync('s-2', join(dir, 'current'))
  assert.deepEqual(names(await watch.ready(3)), ['s-2'])
})

test('settle: a folder counts once nothing in it changed for --settle; a pause that is shorter does not', async (t) => {
  const dir = tempDir(t)
  const watch = watcher(dir)
  put(dir, { 'checkpoint-500/a': 'a' })
  for (let n = 0; n < 5; n++) {
    assert.deepEqual(names(await watch.ready(9)), [])
    put(dir, { 'checkpoint-500/a': 'a'.repeat(n + 2) })
  }
  const [found] = await watch.ready(12)
  assert.equal(found?.name, 'checkpoint-500')
  assert.equal(found?.step, 500)
})

test('settle: after the writer has ended one unchanged rescan is enough', async (t) => {
  const dir = tempDir(t)
  put(dir, { 'c-1/a': 'a' })
  const watch = watcher(dir)
  assert.deepEqual(names((await watch.look(true)).ready), [])
  assert.deepEqual(names((await watch.look(true)).ready), ['c-1'])
})

test('settle: names that say "unfinished" are waited for, wherever they are', async (t) => {
  const dir = tempDir(t)
  put(dir, { 'tmp-checkpoint-1/a': '', 'c-2/a': '', 'c-2/b.tmp': '', 'c-3.pt.part': 'x', 'c-4/a': '' })
  const watch = watcher(dir)
  assert.deepEqual(names(await watch.ready()), ['c-4'])
  assert.deepEqual((await watch.look()).waiting.map((each) => each.name).sort(), [
    'c-2',
    'c-3.pt.part',
    'tmp-checkpoint-1',
  ])
  renameSync(join(dir, 'c-2/b.tmp'), join(dir, 'c-2/b'))
  assert.deepEqual(names(await watch.ready()), ['c-2', 'c-4'])
})

test('settle: files of one stem are one checkpoint, decimals are no extension, logs are none', async (t) => {
  const dir = tempDir(t)
  put(dir, {
    'model-5.pt': 'p',
    'model-5.json': 'j',
    'epoch=0-loss=0.35.ckpt': 'c',
    'epoch=1-loss=0.31.ckpt': 'c',
    'train.log': 'l',
    'config.yaml': 'y',
    last: 'model-5.pt',
  })
  const found = await watcher(dir).ready()
  assert.deepEqual(names(found).sort(), ['epoch=0-loss=0.35.ckpt', 'epoch=1-loss=0.31.ckpt', 'model-5'])
  const model = found.find((each) => each.name === 'model-5')
  assert.deepEqual(files(model), ['model-5.json', 'model-5.pt'])
  assert.deepEqual(
    model?.pointers.map((each) => each.path),
    ['last'],
  )
})

test('settle: what --also copies is part of no checkpoint', async (t) => {
  const dir = tempDir(t)
  put(dir, { 'c-1/a': 'a', 'c-1/run.log': 'l', 'weights.log': 'w' })
  const [found, ...more] = await watcher(dir, { also: '*.log' }).ready()
  assert.deepEqual(files(found), ['c-1/a'])
  assert.deepEqual(more, [])
})

test('what became complete between two looks is taken in the order in which it was written', async (t) => {
  const dir = tempDir(t)
  for (const [at, name] of ['b-3', 'c-1', 'a-2'].entries()) {
    put(dir, { [`${name}/x`]: 'x' })
    utimesSync(join(dir, name, 'x'), 100 + at, 100 + at)
  }
  assert.deepEqual(names(await watcher(dir).ready()), ['b-3', 'c-1', 'a-2'])
})
