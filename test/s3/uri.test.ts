import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseLocation, parseObject } from '../../src/s3/uri.ts'

const cwd = '/srv'

test('a prefix always means a folder, however it is written', () => {
  const folder = { kind: 's3', bucket: 'b-1', prefix: 'p/run-1/' }
  for (const text of ['s3://b-1/p/run-1', 's3://b-1/p/run-1/', 's3://b-1/p/run-1/*', 'S3://b-1/p/run-1/']) {
    assert.deepEqual(parseLocation(text, { cwd }), folder)
  }
  for (const text of ['s3://bucket', 's3://bucket/', 's3://bucket/*']) {
    assert.deepEqual(parseLocation(text, { cwd }), { kind: 's3', bucket: 'bucket', prefix: '' })
  }
})

test('anything without a scheme is a local folder, and so is a file URL', () => {
  assert.deepEqual(parseLocation('data', { cwd }), { kind: 'local', root: '/srv/data' })
  assert.deepEqual(parseLocation('/data/', { cwd }), { kind: 'local', root: '/data' })
  assert.deepEqual(parseLocation('data/*', { cwd }), { kind: 'local', root: '/srv/data' })
  assert.deepEqual(parseLocation('file:///a%20b/c', { cwd }), { kind: 'local', root: '/a b/c' })
  assert.deepEqual(parseLocation('.', { cwd }), { kind: 'local', root: '/srv' })
})

test('an object is named by its key as it is', () => {
  assert.deepEqual(parseObject('s3://bucket/a/b*c d%20.bin'), { bucket: 'bucket', key: 'a/b*c d%20.bin' })
})

test('what can be no place is refused, naming the text', () => {
  const bad = [
    '',
    's3://',
    's3:///x',
    's3://b',
    's3://-bucket/',
    's3://a..b/',
    's3://bucket/p*',
    'gs://bucket/x',
  ]
  for (const text of [
    ...bad,
    'https://bucket.s3.amazonaws.com/',
    'file://host/x',
    'a\0b',
    `s3://bucket/${'k'.repeat(1025)}`,
  ]) {
    assert.throws(() => parseLocation(text, { cwd }), { code: 'BAD_URI', path: text })
  }
  for (const text of ['s3://bucket', 's3://bucket/', 's3://bucket/folder/', 'local/file']) {
    assert.throws(() => parseObject(text), { code: 'BAD_URI' })
  }
})
