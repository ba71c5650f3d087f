import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  encodeIndexLine,
  INDEX_FORMAT,
  type IndexedSample,
  type IndexHeader,
  indexedSampleSchema,
  parseSample,
  readLineBatches,
  readSampleIndex,
} from '../../src/formats/sample-index.ts'

const header: IndexHeader = {
  format: INDEX_FORMAT,
  version: 1,
  shard: 'train-000000.tar',
  size: 4096,
  crc32: '0badcafe',
  samples: 2,
  blockSize: 4096,
  blocks: ['0badcafe'],
}
const sample = (key: string, offset: number): IndexedSample => ({
  key,
  offset,
  size: 1024,
  members: [
    { name: `${key}.jpg`, ext: 'jpg', offset: offset + 512, size: 7, source: `${key}.jpg`, etag: '"e"' },
  ],
})
const text = [
  encodeIndexLine(header),
  encodeIndexLine(sample('ä', 0)),
  encodeIndexLine(sample('b', 1024)),
].join('')

test('an index is read back line by line, however its bytes are cut', async () => {
  for (const step of [1, 7, 10_000]) {
    const read = await readSampleIndex(cut(Buffer.from(text), step))
    assert.deepEqual(read.header, header)
    const samples = []
    for await (const one of read.samples) samples.push(one)
    assert.deepEqual(samples, [sample('ä', 0), sample('b', 1024)])
  }
})

test('an index that lost a line, points past its shard or holds something else is refused', async () => {
  const bad = {
    'a line lost': text.slice(0, text.trimEnd().lastIndexOf('\n') + 1),
    'past the end': text.replace('"offset":1024', '"offset":4000'),
    'no JSON': `${text}{`,
    'another field': text.replace('"ext"', '"extra"'),
    'blocks missing': text.replace('["0badcafe"]', '[]'),
    empty: '',
  }
  for (const [what, bytes] of Object.entries(bad)) {
    const reading = async () => {
      const { samples } = await readSampleIndex([Buffer.from(bytes)])
      for await (const _ of samples);
    }
    await assert.rejects(reading, { code: 'BAD_MANIFEST' }, what)
  }
})

test('a line looked at by hand is taken and refused just as the schema says', () => {
  const odd = fc.constantFrom<unknown>('', 'x', 0, 1, -1, 1.5, 2 ** 60, null, true, [], {}, [1], {
    name: 'x',
  })
  const edit = fc.record({ at: fc.constantFrom('sample', 'member'), value: odd })
  const field = fc.constantFrom('key', 'offset', 'size', 'members', 'name', 'ext', 'source', 'etag', 'extra')
  fc.assert(
    fc.property(fc.array(fc.tuple(edit, field, fc.boolean()), { maxLength: 2 }), (edits) => {
      const value = JSON.parse(encodeIndexLine(sample('a', 0)))
      for (const [{ at, value: other }, name, remove] of edits) {
        const target = at === 'sample' ? value : value.members?.[0]
        if (typeof target !== 'object' || target === null) continue
        if (remove) delete target[name]
        else target[name] = other
      }
      const line = JSON.stringify(value)
      const expected = indexedSampleSchema.safeParse(JSON.parse(line))
      if (expected.success) assert.deepEqual(parseSample(line, 1, undefined), expected.data)
      else assert.throws(() => parseSample(line, 1, undefined), { code: 'BAD_MANIFEST' })
    }),
    { numRuns: 2000 },
  )
})

test('lines longer and shorter than a batch come whole, and a line over the limit is refused', async () => {
  const lines = [
    'a',
    'ü'.repeat(300_000),
    '',
    'b'.repeat(1000),
    ...Array.from({ length: 5000 }, (_, i) => `漢${i}`),
  ]
  for (const step of [100_001, 700_000]) {
    const read = []
    for await (const batch of readLineBatches(cut(Buffer.from(lines.join('\n')), step), {
      maxBytes: 2 ** 20,
    }))
      read.push(...batch)
    assert.deepEqual(read, lines)
  }
  const long = async () => {
    for await (const _ of readLineBatches(cut(Buffer.alloc(2 ** 20, 'x'), 4096), { maxBytes: 2 ** 19 }));
  }
  await assert.rejects(long, { code: 'BAD_MANIFEST' })
})

function* cut(bytes: Buffer, step: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step)
}
