import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { tarHeaderBytes } from '../../src/formats/tar/header.ts'
import { autoShardSize } from '../../src/pack/plan.ts'
import { splitTotals } from '../../src/pack/split-totals.ts'
import { tempDir } from '../support/tmp.ts'
import { type Listed, memoryInUse, planOf } from './plan-of.ts'

const pairs = (n: number): Listed[] =>
  Array.from({ length: n }, (_, i) => [
    { key: `c${i % 7}/img-${i}.jpg`, size: 900 + i },
    { key: `c${i % 7}/img-${i}.cls`, size: 2 },
    // '-' sorts below '.', so the listing's order is not the order of the samples.
    { key: `c${i % 7}/img-${i}-x.jpg`, size: 10 },
  ]).flat()

test('the order of the listing does not change a byte of the plan', async (t) => {
  const input = pairs(40)
  const { plan, slices } = await planOf(t, input)
  await fc.assert(
    fc.asyncProperty(fc.shuffledSubarray(input, { minLength: input.length }), async (turned) => {
      const again = await planOf(t, turned)
      assert.deepEqual(again.plan, plan)
      assert.deepEqual(again.slices, slices)
    }),
    { numRuns: 10 },
  )
})

test('plans that differ in anything never share a place, though the files are the same dataset', async (t) => {
  const [one, touched] = await Promise.all(
    ['"1"', '"2"'].map((etag) => planOf(t, [{ key: 'a.txt', etag }], {}, { kind: 'local' })),
  )
  assert.equal(one?.plan.source.listing, touched?.plan.source.listing)
  assert.notEqual(one?.plan.shards[0]?.slice.crc32, touched?.plan.shards[0]?.slice.crc32)
  assert.notEqual(one?.plan.digest, touched?.plan.digest)
})

test('members of a sample are adjacent, offsets are where the tar puts them, and nothing is lost', async (t) => {
  const input = pairs(900)
  const { plan, slices } = await planOf(t, input)
  assert.ok(plan.shards.length > 1)
  const seen: string[] = []
  for (const [i, samples] of slices.entries()) {
    let at = 0
    for (const sample of samples) {
      assert.equal(sample.offset, at)
      for (const member of sample.members) {
        assert.equal(member.offset, at + tarHeaderBytes(member.name))
        at = Math.ceil((member.offset + member.size) / 512) * 512
        seen.push(member.source)
      }
      assert.equal(sample.offset + sample.size, at)
      assert.ok(sample.members.every((m) => m.name.startsWith(`${sample.key}.`)))
    }
    assert.equal(plan.shards[i]?.size, at + 1024)
    assert.ok(at + 1024 <= 1024 * 1024)
  }
  assert.deepEqual(seen.sort(), input.map((o) => o.key).sort())
  assert.equal(plan.source.objects, input.length)
  assert.equal(
    plan.source.bytes,
    input.reduce((sum, o) => sum + (o.size ?? 0), 0),
  )
})

test('a folder with a dot in its name does not come between the members of a sample', async (t) => {
  const { slices } = await planOf(t, [{ key: 'a/b.jpg' }, { key: 'a/b.x/c.jpg' }, { key: 'a/b.z' }], {
    shuffle: false,
  })
  assert.deepEqual(
    slices[0]?.map((s) => [s.key, s.members.map((m) => m.ext)]),
    [
      ['a/b', ['jpg', 'z']],
      ['a/b.x/c', ['jpg']],
    ],
  )
})

test('the seed decides the order, val and test keep that of their keys, and the plan says which', async (t) => {
  const input = ['train', 'val'].flatMap((split) =>
    Array.from({ length: 30 }, (_, i) => ({ key: `${split}/s${String(i).padStart(2, '0')}.txt` })),
  )
  const { plan, slices } = await planOf(t, input, { split: 'dir' })
  assert.deepEqual(plan.splits, [
    { name: 'train', seed: 0 },
    { name: 'val', seed: null },
  ])
  assert.deepEqual(
    plan.shards.map((s) => s.name),
    ['train-000000.tar', 'val-000000.tar'],
  )
  const keys = (i: number, of = slices) => of[i]?.map((s) => s.key)
  assert.notDeepEqual(keys(0), keys(0)?.toSorted())
  assert.deepEqual(keys(1), keys(1)?.toSorted())
  assert.equal(slices[0]?.[0]?.members[0]?.source, `train/${keys(0)?.[0]}.txt`)
  const other = await planOf(t, input, { split: 'dir', shuffle: 1 })
  assert.notDeepEqual(keys(0, other.slices), keys(0))
  assert.deepEqual(
    other.plan.splits.map((s) => s.seed),
    [1, 1],
  )
})

test('without shuffling, samples lie in the order of their keys’ UTF-8 bytes', async (t) => {
  const { slices } = await planOf(t, [{ key: '😀.a' }, { key: '\uffee.a' }, { key: 'ä.a' }, { key: 'z.a' }], {
    shuffle: false,
  })
  assert.deepEqual(
    slices[0]?.map((s) => s.key),
    ['z', 'ä', '\uffee', '😀'],
  )
})

test('what the tar cannot hold is one error with the count, the first five and the mend', async (t) => {
  const input = [
    ...Array.from({ length: 7 }, (_, i) => ({ key: `n${i}/README` })),
    { key: 'ok.txt' },
    { key: 'a.JPG' },
    { key: 'a.jpg' },
  ]
  await assert.rejects(planOf(t, input), (error: Error & { code?: string; hint?: string }) => {
    assert.equal(error.code, 'LINT')
    assert.match(error.message, /^8 objects can't be packed: "a\.jpg" .*"n3\/README" .*and 3 more$/)
    assert.doesNotMatch(error.message, /\n/)
    assert.match(error.hint ?? '', /--exclude '!\(\*\.\*\)'/)
    return true
  })
  const mended = await planOf(t, input, { exclude: ['!(*.*)', 'a.jpg'] })
  assert.equal(mended.plan.source.objects, 2)
})

test('--on-unpackable skip packs the rest and lists every object it left out, with the reason', async (t) => {
  const input = [
    { key: 'README' },
    { key: '../../etc/passwd.txt' },
    { key: 'tab\there.txt' },
    { key: 'a.JPG' },
    { key: 'a.jpg' },
    { key: 'big.bin', size: 8 * 2 ** 30 },
    { key: 'old.bin', storageClass: 'DEEP_ARCHIVE' },
    { key: 'warm.bin', storageClass: 'GLACIER_IR' },
    { key: 'dir/', size: 0 },
    { key: '.hidden', size: 4 },
    { key: '', size: 0 },
  ]
  const { plan } = await planOf(t, input, { onUnpackable: 'skip' })
  assert.equal(plan.source.objects, 2)
  assert.equal(plan.skipped, 6)
  assert.deepEqual(plan.left.first.map((l) => l.key).sort(), [
    '../../etc/passwd.txt',
    '.hidden',
    'README',
    'a.jpg',
    'big.bin',
    'dir/',
    'old.bin',
    'tab\there.txt',
  ])
  assert.ok(plan.left.first.every((l) => l.reason.length > 5))
})

test('archived objects alone are an error of their own', async (t) => {
  await assert.rejects(planOf(t, [{ key: 'a.b', storageClass: 'GLACIER' }]), { code: 'ARCHIVED' })
})

test('training and validation folders are never mixed unasked', async (t) => {
  const input = [{ key: 'train/a.jpg' }, { key: 'val/a.jpg' }]
  await assert.rejects(planOf(t, input), { code: 'SPLIT_NEEDED', message: /train\/, val\// })
  assert.equal((await planOf(t, input, { include: ['train/**'] })).plan.source.objects, 1)
  assert.equal((await planOf(t, input, { exclude: ['val/'] })).plan.source.objects, 1)
  assert.equal((await planOf(t, input, { split: 'dir' })).plan.splits.length, 2)
  assert.equal((await planOf(t, [{ key: 'test/a.jpg' }, { key: 'src/b.jpg' }])).plan.source.objects, 2)
})

test('a sample without a required extension aborts, is kept with a warning, or is left out', async (t) => {
  const input = [{ key: 'a.jpg' }, { key: 'a.cls' }, { key: 'b.jpg' }]
  const require = ['.JPG', 'cls']
  await assert.rejects(planOf(t, input, { require }), { code: 'LINT', message: /b\.jpg.*\.cls/ })
  await assert.rejects(planOf(t, input, { require, onUnpackable: 'skip' }), { code: 'LINT' })
  const warned = await planOf(t, input, { require, onMissing: 'warn' })
  assert.deepEqual([warned.plan.source.objects, warned.plan.lacking], [3, 1])
  const excluded = await planOf(t, input, { require, onMissing: 'exclude' })
  assert.deepEqual([excluded.plan.source.objects, excluded.plan.skipped, excluded.plan.left.count], [2, 0, 1])
})

test('globs select by the whole key, or by the last segment when they hold no slash', async (t) => {
  const input = [{ key: 'a/x.jpg' }, { key: 'a/x.tmp' }, { key: 'b/c/y.jpg' }, { key: 'b/c/[z].jpg' }]
  const sources = async (changes: object) =>
    (await planOf(t, input, { shuffle: false, ...changes })).slices
      .flat()
      .flatMap((s) => s.members.map((m) => m.source))
  assert.deepEqual(await sources({ exclude: ['*.tmp', 'b/'] }), ['a/x.jpg'])
  assert.deepEqual(await sources({ include: ['b/**'], exclude: ['b/c/\\[z\\].jpg'] }), ['b/c/y.jpg'])
  assert.deepEqual(await sources({ include: ['*.jpg'], exclude: ['a/*'] }), ['b/c/[z].jpg', 'b/c/y.jpg'])
})

test('--files-from takes the listed keys only, in any order, and reports those that are missing', async (t) => {
  const file = join(tempDir(t), 'list')
  const input = [{ key: 'a.jpg' }, { key: 'b.jpg' }, { key: 'c.jpg' }]
  writeFileSync(file, 'c.jpg\r\n\n./a.jpg\nc.jpg\n')
  assert.equal((await planOf(t, input, { filesFrom: file })).plan.source.objects, 2)
  writeFileSync(file, 'a.jpg\nnope.jpg\n')
  await assert.rejects(planOf(t, input, { filesFrom: file }), {
    code: 'LINT',
    message: /"nope\.jpg" \(listed/,
  })
  const skipped = await planOf(t, input, { filesFrom: file, onUnpackable: 'skip' })
  assert.deepEqual(
    skipped.plan.left.first.map((l) => l.key),
    ['nope.jpg'],
  )
  await assert.rejects(planOf(t, input, { filesFrom: join(file, 'no') }), { code: 'LOCAL_IO' })
})

test('auto shards are 256 MiB, smaller to reach 128, and never under 16 MiB', () => {
  const MIB = 2 ** 20
  assert.equal(autoShardSize(1), 16 * MIB)
  assert.equal(autoShardSize(128 * 20 * MIB), 20 * MIB)
  assert.equal(autoShardSize(2 ** 40), 256 * MIB)
})

test('samples a shard and bytes a shard are both respected', async (t) => {
  const input = Array.from({ length: 25 }, (_, i) => ({ key: `s${i}.txt`, size: 1 }))
  const { plan } = await planOf(t, input, { maxSamples: 10 })
  assert.deepEqual(
    plan.shards.map((s) => s.samples),
    [10, 10, 5],
  )
  const large = await planOf(
    t,
    [
      { key: 'a.bin', size: 5_000_000 },
      { key: 'b.bin', size: 1 },
    ],
    { shuffle: false },
  )
  assert.deepEqual(
    large.plan.shards.map((s) => s.samples),
    [1, 1],
  )
})

test('two thousand splits are planned, numbered and counted each', async (t) => {
  const input = Array.from({ length: 2000 }, (_, i) => ({ key: `split ${i}/s.txt`, size: i }))
  const { plan } = await planOf(t, input, { split: 'dir' })
  const totals = splitTotals(plan.splits, plan.shards)
  assert.equal(totals.length, 2000)
  assert.ok(totals.every(({ shards, samples }) => shards === 1 && samples === 1))
  assert.equal(new Set(plan.shards.map(({ name }) => name)).size, 2000)
  assert.ok(plan.shards.every(({ name, split }) => name === `${split}-000000.tar`))
})

test('nonsense is refused by the name of its option', async (t) => {
  const input = [{ key: 'a.txt' }]
  for (const changes of [
    { shardSize: 5 },
    { shardSize: Number.NaN },
    { maxSamples: 0 },
    { shuffle: 0.5 },
    { name: '../x' },
    { name: '' },
    { task: { index: 2, count: 2 } },
    { require: [''] },
  ]) {
    await assert.rejects(planOf(t, input, changes), { code: 'USAGE' }, JSON.stringify(changes))
  }
  await assert.rejects(planOf(t, []), { code: 'NOT_FOUND' })
})

test('40,000 keys in no order are planned in the memory that sorting has', async (t) => {
  const total = 40_000
  const before = memoryInUse()
  let peak = 0
  function* pages() {
    for (let page = 0; page < total / 1000; page++) {
      const objects = Array.from({ length: 1000 }, (_, i) => {
        // 7919 is coprime to the total: every number comes once, in no order.
        const n = ((page * 1000 + i) * 7919) % total
        return {
          key: `set/folder-${n % 100}/object-with-a-longer-name-${n}.jpg`,
          size: 4000,
          etag: `"${n}"`,
          modified: 0,
        }
      })
      yield { objects, folders: [] }
      if (page % 10 === 9) peak = Math.max(peak, memoryInUse())
    }
  }
  const { plan } = await planOf(t, pages, { shardSize: 64 * 2 ** 20 }, { sortMemory: 2 ** 19 })
  assert.equal(plan.source.objects, total)
  assert.ok(peak - before < 5e6, `${Math.round((peak - before) / 1e6)} MB`)
})
