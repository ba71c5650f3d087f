import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compareKeys, keyIndex, lowerBound } from '../../src/devserver/key-index.ts'
import { listKeys } from '../../src/devserver/list-keys.ts'

const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))
const text = fc.string({ unit: 'binary', maxLength: 6 })
const key = fc.string({
  unit: fc.constantFrom('a', 'b', '/', 'ü', '\ufb01', '\u{1f4be}'),
  minLength: 1,
  maxLength: 6,
})

test('keys compare as their UTF-8 bytes do', () => {
  fc.assert(fc.property(text, text, (a, b) => Math.sign(compareKeys(a, b)) === Math.sign(byBytes(a, b))))
})

test('the index is in order whatever is put and deleted in between', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), key, fc.boolean())), (steps) => {
      const index = keyIndex<number>()
      const model = new Set<string>()
      for (const [put, name, look] of steps) {
        if (put) index.set(name, 1)
        else index.delete(name)
        if (put) model.add(name)
        else model.delete(name)
        if (look) index.sorted()
      }
      assert.deepEqual(index.sorted(), [...model].sort(byBytes))
      assert.equal(index.size, model.size)
    }),
  )
})

test('100,000 keys put one by one are in order', () => {
  const index = keyIndex<number>()
  for (let i = 0; i < 100_000; i++) index.set(`key-${(i * 7919) % 100_000}`, i)
  const sorted = index.sorted()
  assert.equal(sorted.length, 100_000)
  assert.equal(lowerBound(sorted, 'key-5'), sorted.indexOf('key-5'))
})

test('pages of any size give every key and every folder once', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(key),
      fc.constantFrom('', 'a', 'a/'),
      fc.constantFrom('', '/'),
      fc.integer({ min: 1, max: 4 }),
      (keys, prefix, delimiter, maxKeys) => {
        const sorted = [...keys].sort(byBytes)
        const expected = new Set(
          sorted
            .filter((name) => name.startsWith(prefix))
            .map((name) => {
              const cut = delimiter === '' ? -1 : name.indexOf(delimiter, prefix.length)
              return cut === -1 ? name : name.slice(0, cut + 1)
            }),
        )
        const got: string[] = []
        let after = ''
        for (;;) {
          const page = listKeys(sorted, { prefix, delimiter, after, maxKeys })
          got.push(...page.entries.map((entry) => entry.name))
          if (!page.truncated) break
          after = got.at(-1) ?? ''
        }
        assert.deepEqual(got, [...expected])
      },
    ),
  )
})
