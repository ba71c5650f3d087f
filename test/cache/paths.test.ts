import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { datasetId, datasetPath } from '../../src/cache/paths.ts'
import { pathToKey } from '../../src/fs/key-path.ts'
import { identity } from './support.ts'

const digest = '0123456789abcdef'.repeat(4)
const at = (prefix: string, place = 'aws', bucket = 'b') => datasetPath({ place, bucket, prefix, digest })

test('the tree mirrors the bucket, one folder a version', () => {
  assert.equal(at('imagenet/v1/'), 'aws/b/imagenet/v1@0123456789ab')
  assert.equal(at('', '127.0.0.1_9000'), '127.0.0.1_9000/b/@0123456789ab')
  assert.equal(at('x/', 'local', '%2Fdata%2Fraw'), 'local/%2Fdata%2Fraw/x@0123456789ab')
})

test('no prefix leads out of the cache, into its state, or into another version', () => {
  assert.equal(at('../../etc/'), 'aws/b/%2E%2E/%2E%2E/etc@0123456789ab')
  assert.equal(at('x/', '.longshore'), '%2Elongshore/b/x@0123456789ab')
  assert.equal(at('x/', '..', '../y'), '%2E./%2E.%2Fy/x@0123456789ab')
  assert.equal(at('a@0123456789ab/b/'), 'aws/b/a%400123456789ab/b@0123456789ab')
  assert.ok(at('a@0123456789ab/').endsWith('a@0123456789ab@0123456789ab'))
})

test('every prefix has its own folder, with names that fit, and can be told from it', () => {
  const prefixes = fc
    .array(
      fc.oneof(
        fc.string({ unit: 'binary', maxLength: 300 }),
        fc.constantFrom('..', '.', '', 'a@0123456789ab', '~'),
      ),
    )
    .map((parts) => parts.map((p) => `${p}/`).join(''))
  fc.assert(
    fc.property(prefixes, (prefix) => {
      const path = at(prefix)
      for (const part of path.split('/')) {
        assert.ok(part !== '' && part !== '.' && part !== '..' && Buffer.byteLength(part) <= 255)
      }
      const version = path.slice('aws/b/'.length, -'@0123456789ab'.length)
      assert.equal(prefix === '' ? version : `${pathToKey(version)}/`, prefix)
    }),
  )
})

test('an id is stable, and differs by place, bucket, prefix and digest', () => {
  const base = identity('a')
  const ids = [
    base,
    { ...base, place: 'x' },
    { ...base, bucket: 'x' },
    { ...base, prefix: 'b/' },
    identity('a', '2'),
  ]
  assert.equal(new Set(ids.map(datasetId)).size, 5)
  assert.match(datasetId(base), /^[0-9a-f]{16}$/)
  assert.equal(datasetId(base), datasetId(identity('a')))
})
