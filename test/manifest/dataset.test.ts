import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { canonicalJson } from '../../src/manifest/canonical.ts'
import { type DatasetManifest, encodeManifest, parseManifest } from '../../src/manifest/dataset.ts'

const manifest: DatasetManifest = {
  format: 'longshore-dataset',
  version: 1,
  layout: 'tar',
  options: { name: 'train', shardSize: 'auto' },
  source: { url: 's3://b/p/', listing: 'a'.repeat(64), objects: 2, bytes: 7 },
  splits: [{ name: 'train', seed: 0, shards: 1, samples: 1, bytes: 4096 }],
  classes: null,
  shards: [
    {
      name: 'train-000000.tar',
      split: 'train',
      size: 4096,
      samples: 1,
      crc32: '0badcafe',
      index: { name: 'train-000000.index.jsonl', size: 10, crc32: '0badcafe' },
    },
  ],
  left: [],
}

test('the same value gives the same bytes, in whatever order its keys were set', () => {
  const turned = Object.fromEntries(Object.entries(manifest).reverse()) as DatasetManifest
  assert.deepEqual(encodeManifest(turned), encodeManifest(manifest))
  assert.deepEqual(parseManifest(encodeManifest(manifest), 'x'), manifest)
})

test('canonical JSON means the same as JSON', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) =>
      assert.deepEqual(JSON.parse(canonicalJson(value)), JSON.parse(JSON.stringify(value))),
    ),
  )
})

test('a manifest that leads out of its folder, lists a name twice or is newer is refused with its path', () => {
  const [shard] = manifest.shards
  const bad = [
    { ...manifest, shards: [{ ...shard, name: '../../etc/passwd' }] },
    { ...manifest, shards: [{ ...shard, name: '/etc/passwd' }] },
    { ...manifest, shards: [shard, shard] },
    { ...manifest, version: 2 },
    { ...manifest, surprise: 1 },
    { hello: 'world' },
  ]
  for (const value of bad) {
    assert.throws(() => parseManifest(Buffer.from(JSON.stringify(value)), 's3://b/longshore.json'), {
      code: 'BAD_MANIFEST',
      path: 's3://b/longshore.json',
    })
  }
  assert.throws(() => parseManifest(Buffer.from([0xff, 0xfe]), 'x'), { code: 'BAD_MANIFEST' })
})
