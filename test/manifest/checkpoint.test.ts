import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isLongshoreError } from '../../src/errors.ts'
import {
  type CommitRecord,
  decodeRecord,
  encodeRecord,
  linkStaysInside,
  logKey,
  seqOfKey,
} from '../../src/manifest/checkpoint.ts'

const commit: CommitRecord = {
  format: 'longshore-log',
  version: 1,
  type: 'commit',
  seq: 12,
  epoch: 3,
  nonce: '0123456789abcdef',
  at: '2026-01-02T03:04:05.678Z',
  ordinal: 7,
  name: 'checkpoint-500',
  step: 500,
  newest: 12,
  layout: 'settle',
  files: [
    { path: 'checkpoint-500/a b\n=ü.bin', size: 5, mode: 0o644, crc32: '0000abcd' },
    { path: 'checkpoint-500/c', size: 0, mode: 0o600, crc32: '00000000', key: '.longshore/objects/3-ab12/c' },
    { path: 'checkpoint-500/last', mode: 0o777, symlink: 'c' },
  ],
  pointers: [{ path: 'latest', mode: 0o644, base64: 'Y2hlY2twb2ludC01MDA=' }],
}
const read = (value: unknown, seq = 12) =>
  decodeRecord(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)), {
    seq,
    url: 's3://b/log/12',
  })

test('a record reads back as it was written', () => {
  assert.deepEqual(decodeRecord(encodeRecord(commit), { seq: 12, url: 'x' }), commit)
})

test('a record whose paths leave the folder or reach into .longshore is refused, naming the record', () => {
  const bad = ['../x', '/etc/passwd', 'a/../../x', 'a//b', '.', 'a/./b', '', 'a\0b', '.longshore/log/x']
  for (const path of bad) {
    const file = { path, size: 1, mode: 0o644, crc32: '00000000' }
    const pointer = { path, mode: 0o644, base64: '' }
    for (const changed of [{ files: [file] }, { pointers: [pointer] }, { name: path === '.' ? '' : path }]) {
      assert.throws(
        () => read({ ...commit, ...changed }),
        (error) => isLongshoreError(error, 'BAD_MANIFEST') && error.path === 's3://b/log/12',
        JSON.stringify(changed),
      )
    }
  }
})

test('a key outside the run, or in the log, is refused', () => {
  const bad = ['../other/x', '/x', '.longshore/log/000000000001.json', '.longshore/objects/x', '']
  for (const key of [...bad, '.longshore/objects/1-ab/../x']) {
    const file = { path: 'a', size: 1, mode: 0o644, crc32: '00000000', key }
    assert.throws(() => read({ ...commit, files: [file] }), /\(files\.0\.key\)/, key)
  }
})

test('an unknown field, version or type, a torn document and a record under another number are refused', () => {
  const bad: unknown[] = [
    { ...commit, more: 1 },
    { ...commit, version: 2 },
    { ...commit, type: 'merge' },
    { ...commit, files: [{ path: 'a', size: -1, mode: 0o644, crc32: '00000000' }] },
    { ...commit, files: [{ path: 'a', size: 1, mode: 0o644, crc32: 'ABCDEF00' }] },
    encodeRecord(commit).toString().slice(0, -9),
    '',
    'null',
  ]
  for (const value of bad)
    assert.throws(
      () => read(value),
      (e) => isLongshoreError(e, 'BAD_MANIFEST'),
    )
  assert.throws(() => read(commit, 13), /holds record 12/)
})

test('keys of the log sort as their numbers do, and nothing else is taken for one', () => {
  assert.equal(logKey(12), '.longshore/log/000000000012.json')
  assert.equal(seqOfKey(logKey(999_999)), 999_999)
  for (const key of [
    '.longshore/log/12.json',
    '.longshore/log/000000000012.json.tmp',
    'log/000000000012.json',
  ])
    assert.equal(seqOfKey(key), undefined)
})

test('a link may only lead inside the folder, however it is written', () => {
  for (const [path, target] of [
    ['last', 'checkpoint-5'],
    ['a/b/last', '../../c/d'],
    ['a/last', './x'],
  ] as const)
    assert.ok(linkStaysInside(path, target), `${path} -> ${target}`)
  for (const [path, target] of [
    ['last', '/etc/passwd'],
    ['last', '../x'],
    ['a/last', '../../x'],
    ['last', 'a/../../x'],
    ['last', 'link/../../x'],
    ['last', 'link/..'],
    ['last', '.longshore/log'],
    ['last', ''],
  ] as const)
    assert.ok(!linkStaysInside(path, target), `${path} -> ${target}`)
})
