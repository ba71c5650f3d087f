import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ownText, ownTexts } from '../../src/s3/own-text.ts'
import type { ListedObject } from '../../src/s3/store.ts'
import { collectGarbage } from '../support/forgotten.ts'

const MIB = 1024 * 1024
const any = fc.string({ unit: 'binary' })

/** Bytes that the texts hold on to which `make` returns, each out of a page of 1 MiB. */
function heldBy(make: (page: string) => unknown): number {
  collectGarbage()
  const before = process.memoryUsage().heapUsed
  const kept = Array.from({ length: 50 }, (_, i) => make(Buffer.alloc(MIB, `<Key>folder/${i}`).toString()))
  collectGarbage()
  const held = process.memoryUsage().heapUsed - before
  assert.equal(kept.length, 50)
  return held
}

test('a text of its own is the same text, half a surrogate pair included', () => {
  fc.assert(fc.property(any, (text) => ownText(text) === text))
  assert.equal(ownText('a\ud834'), 'a\ud834')
})

test('what is kept of a page does not keep the page', () => {
  const cut = (page: string) => page.slice(5, 65)
  assert.ok(heldBy(cut) > 40 * MIB)
  assert.ok(heldBy((page) => ownText(cut(page))) < MIB)
  const whole = (page: string) => {
    const one = (): ListedObject => ({
      key: cut(page),
      size: 1,
      etag: `"${page.slice(70, 102)}"`,
      modified: 0,
    })
    const objects = [one(), { ...one(), storageClass: page.slice(0, 20) }]
    ownTexts(objects)
    return objects
  }
  assert.ok(heldBy(whole) < MIB)
})

test('the objects of a page have the same keys, tags and classes as before', () => {
  const storageClass = fc.constantFrom('STANDARD', 'GLACIER', 'INTELLIGENT_TIERING', undefined)
  const fields = { key: any, size: fc.nat(), etag: any, modified: fc.nat(), storageClass }
  const object = fc.record(fields, { noNullPrototype: true })
  fc.assert(
    fc.property(fc.array(object), (objects) => {
      const before = structuredClone(objects)
      ownTexts(objects)
      assert.deepEqual(objects, before)
    }),
  )
})
