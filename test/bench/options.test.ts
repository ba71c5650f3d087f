import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseOptions } from '../../bench/options.ts'

test('Rows run in their own order, whatever order they were named in', () => {
  assert.deepEqual(parseOptions(['--rows', '5,1']).rows, [1, 5])
  assert.throws(() => parseOptions(['--rows', '1,9']), /the rows are 1, 2/)
})

test('An address without a bucket is refused: the bench must be told where it may write', () => {
  assert.throws(() => parseOptions(['--endpoint-url', 'https://s3.example.com']), /need --bucket/)
})

test('A bucket may be named with its scheme, with a folder, with slashes too many', () => {
  const own = parseOptions(['--bucket', 's3://mine/a//b/', '--endpoint-url', 'https://s3.example.com/']).own
  assert.equal(own?.bucket, 'mine')
  assert.equal(own?.prefix, 'a/b/')
  assert.equal(own?.endpointUrl, 'https://s3.example.com')
})

test('Options that contradict each other are refused', () => {
  assert.throws(() => parseOptions(['--quick', '--full']), /take one/)
  assert.throws(() => parseOptions(['--quick', '--runs', '3']), /one run/)
  assert.throws(() => parseOptions(['--runs', '0']), /1 to 100/)
  assert.throws(() => parseOptions(['--scheme', 'ftp']), /http or https/)
})
