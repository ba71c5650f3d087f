import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  encodeIndexLine,
  INDEX_FORMAT,
  type IndexedSample,
  type IndexHeader,
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

function* cut(bytes: Buffer, step: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step)
}
