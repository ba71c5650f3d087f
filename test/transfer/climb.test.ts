import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Climb, openClimb } from '../../src/transfer/climb.ts'

/** A store of its own: what it gives at a limit, at a time; each reading is off by up to `noise`. */
function watch(
  goodputAt: (limit: number, second: number) => number,
  { seconds, noise, seed = 1 }: { seconds: number; noise: number; seed?: number },
): { climb: Climb; highest: number } {
  let now = 0
  let state = seed
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  const climb = openClimb('auto', () => now)
  let highest = 0
  while (now < seconds * 1000) {
    now += 400
    climb.done(goodputAt(climb.limit, now / 1000) * 400 * (1 + noise * (2 * random() - 1)), true)
    highest = Math.max(highest, climb.limit)
  }
  return { climb, highest }
}

test('where latency is all, the limit is at its highest within seconds', () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const { highest } = watch((limit) => limit, { seconds: 6, noise: 0.05, seed })
    assert.ok(highest > 220, `${highest} with seed ${seed}`)
    const { climb } = watch((limit) => limit, { seconds: 600, noise: 0.05, seed })
    assert.ok(climb.limit > 160, `${climb.limit} with seed ${seed}`)
  }
})

test('where the server or the machine is what limits, it stays about where that begins, however long a run lasts', () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const { climb } = watch(() => 1000, { seconds: 600, noise: 0.08, seed })
    assert.ok(climb.limit <= 50, `${climb.limit} with seed ${seed}`)
    const knee = watch((limit) => Math.min(limit, 90), { seconds: 600, noise: 0.08, seed })
    assert.ok(knee.climb.limit >= 75 && knee.climb.limit <= 140, `${knee.climb.limit} with seed ${seed}`)
  }
})

test('goodput that grows by itself is not taken for what more requests brought', () => {
  const warming = (_: number, second: number) => 1000 * Math.min(1, 0.3 + second / 3)
  for (const seed of [1, 2, 3]) {
    const { highest } = watch(warming, { seconds: 6, noise: 0.02, seed })
    assert.ok(highest <= 40, `${highest} with seed ${seed}`)
  }
})

test('the limit stays in its bounds, and climbs again after refusals', () => {
  let now = 0
  const climb = openClimb('auto', () => now)
  assert.equal(climb.limit, 32)
  for (let i = 0; i < 20; i++) {
    now += 2000
    climb.slowDown()
  }
  assert.equal(climb.limit, 4)
  for (let i = 0; i < 60; i++) {
    now += 500
    climb.done(climb.limit * 500, true)
  }
  assert.ok(climb.limit > 220)
})

test('while nobody waits for a slot, nothing is tried', () => {
  let now = 0
  const climb = openClimb('auto', () => now)
  for (let i = 0; i < 100; i++) {
    now += 500
    climb.done(1000 * i, false)
  }
  assert.equal(climb.limit, 32)
})

test('refusals that come together halve the limit once', () => {
  const climb = openClimb('auto', () => 5000)
  for (let i = 0; i < 20; i++) climb.slowDown()
  assert.equal(climb.limit, 16)
})

test('a fixed concurrency stays as it was given', () => {
  const climb = openClimb(7)
  climb.slowDown()
  assert.equal(climb.limit, 7)
})
