import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { keyToPath, pathToKey } from '../../src/fs/key-path.ts'

test('a key that is a safe path stays as it is', () => {
  for (const key of [
    'a',
    'train/n01440764/img_1.JPEG',
    'späße/日本語.txt',
    'a b/100%.txt',
    '.hidden',
    'a~',
    '%zz',
  ]) {
    assert.equal(keyToPath(key), key)
  }
})

test('what leads out of the folder, or is no file name, is escaped', () => {
  const cases: [string, string][] = [
    ['../../etc/passwd', '%2E%2E/%2E%2E/etc/passwd'],
    ['/etc/passwd', '%-/etc/passwd'],
    ['a//b', 'a/%-/b'],
    ['a/', 'a/%-'],
    ['./x', '%2E/x'],
    ['~/x', '%7E/x'],
    ['a\0b\n', 'a%00b%0A'],
    ['%2E', '%252E'],
    ['%-', '%25-'],
    ['', '%-'],
  ]
  for (const [key, expected] of cases) {
    assert.equal(keyToPath(key), expected)
    assert.equal(pathToKey(expected), key)
  }
})

test('a name longer than the filesystem takes is continued in folders', () => {
  for (const name of ['x'.repeat(600), '日'.repeat(300), `${'%'.repeat(300)}41`, `${'~'.repeat(231)}..`]) {
    const at = keyToPath(`a/${name}/b`)
    for (const part of at.split('/')) assert.ok(Buffer.byteLength(part) <= 255)
    assert.equal(pathToKey(at), `a/${name}/b`)
  }
  assert.equal(keyToPath('x'.repeat(255)), 'x'.repeat(255))
  assert.ok(keyToPath('x'.repeat(250), { maxNameBytes: 240 }).includes('/'))
})

test('every key has one path, every path leads back to its key, and none leaves the folder', () => {
  const nasty = fc.string({
    unit: fc.constantFrom(
      '%',
      '2',
      'E',
      'u',
      'D',
      '8',
      '0',
      '-',
      '+',
      '.',
      '/',
      '~',
      'a',
      '\0',
      '\ud800',
      '\udc00',
      '日',
    ),
    maxLength: 40,
  })
  const long = fc.tuple(nasty, fc.integer({ min: 1, max: 40 })).map(([s, n]) => s.repeat(n))
  const keys = fc.oneof(nasty, long, fc.string({ unit: 'binary', maxLength: 60 }))
  fc.assert(
    fc.property(keys, (key) => {
      const at = keyToPath(key)
      assert.equal(pathToKey(at), key)
      assert.ok(!path.isAbsolute(at))
      for (const part of at.split('/')) {
        assert.ok(
          part !== '' && part !== '.' && part !== '..' && !part.includes('\0') && !part.startsWith('~'),
        )
        assert.ok(Buffer.byteLength(part) <= 255)
        assert.equal(Buffer.from(part).toString(), part, 'the filesystem keeps it')
      }
    }),
    { numRuns: 2000 },
  )
})
