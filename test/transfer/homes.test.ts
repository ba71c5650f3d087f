import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openHomes } from '../../src/transfer/homes.ts'
import type { Transfer } from '../../src/transfer/types.ts'

const range = (path: string): Transfer => ({
  id: 1,
  length: 8,
  pieces: [],
  to: { kind: 'file', path, offset: 0 },
})

/** Threads that are given `count` ranges of these files in turn, of which the oldest four are always on the way. */
function dealt(paths: string[], count: number, threads = 2) {
  const hands = Array.from({ length: threads }, () => ({ weight: 0, gone: false, paths: [] as string[] }))
  const home = openHomes<(typeof hands)[number]>()
  const open: (typeof hands)[number][] = []
  for (let n = 0; n < count; n++) {
    const path = paths[n % paths.length] ?? ''
    const idlest = hands.reduce((a, b) => (b.weight < a.weight ? b : a))
    const hand = home(range(path), 8, idlest)
    hand.weight += 8
    hand.paths.push(path)
    open.push(hand)
    const done = open.length > 8 ? open.shift() : undefined
    if (done !== undefined) done.weight -= 8
  }
  return hands
}

test('of several files each is written by one thread, and every thread has its share', () => {
  const hands = dealt(['a', 'b', 'c', 'd'], 400)
  for (const { paths } of hands) {
    const late = new Set(paths.slice(20))
    assert.ok(late.size <= 2, [...late].join())
    assert.ok(paths.length >= 150, `${paths.length} of 400`)
  }
})

test('a single file is written by all threads rather than by one', () => {
  for (const { paths } of dealt(['a'], 400)) assert.ok(paths.length >= 100, `${paths.length} of 400`)
})

test("a file's thread that is gone, or what is no place in a file, goes to the idlest", () => {
  const home = openHomes<{ weight: number; gone: boolean }>()
  const [one, two] = [
    { weight: 0, gone: false },
    { weight: 5, gone: false },
  ]
  assert.equal(home(range('a'), 8, one), one)
  assert.equal(home(range('a'), 8, two), one)
  one.gone = true
  assert.equal(home(range('a'), 8, two), two)
  assert.equal(home({ ...range('a'), to: { kind: 'memory' } }, 8, one), one)
})

test('a million files are not remembered', () => {
  const home = openHomes<{ weight: number; gone: boolean }>()
  const [one, two] = [
    { weight: 0, gone: false },
    { weight: 0, gone: false },
  ]
  home(range('first'), 8, one)
  for (let n = 0; n < 300; n++) home(range(`${n}`), 8, one)
  assert.equal(home(range('first'), 8, two), two)
  assert.equal(home(range('299'), 8, two), one)
})
