import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openClimb } from '../../src/transfer/climb.ts'
import { randomFrom } from '../support/random.ts'

interface Model {
  /** s that a request takes when it is alone */
  latency: number
  /** requests a second that the server, or the machine, does at the most; by the second of the run */
  most?: (second: number) => number
  /** Each request takes so much more or less. */
  noise: number
}

/** Requests in flight against a store of its own, as many as the limit says, told of in lumps of 100 ms. */
function watch({ latency, most, noise }: Model, { seconds, seed }: { seconds: number; seed: number }) {
  let now = 0
  const random = randomFrom(seed)
  const climb = openClimb('auto', () => now * 1000)
  const flying: number[] = []
  let [highest, freeAt, ended, tellAt] = [0, 0, 0, 0]
  while (now < seconds) {
    while (flying.length < climb.limit) {
      const own = latency * (1 + noise * (2 * random() - 1))
      freeAt = Math.max(freeAt, now) + (most === undefined ? 0 : (1 + noise * (2 * random() - 1)) / most(now))
      flying.push(Math.max(freeAt, now + own))
    }
    const first = Math.min(...flying)
    if (first < tellAt) {
      flying.splice(flying.indexOf(first), 1)
      now = first
      ended++
      continue
    }
    now = tellAt
    tellAt += 0.1
    if (ended > 0) climb.done(ended, true, ended)
    ended = 0
    highest = Math.max(highest, climb.limit)
  }
  return { limit: climb.limit, highest }
}

const SEEDS = [1, 2, 3, 4, 5]

test('where latency is all, the limit climbs to its highest and stays about there, fast requests or slow ones', () => {
  for (const seed of SEEDS) {
    for (const latency of [0.05, 0.6, 2]) {
      const seconds = 6 + 40 * latency
      const { highest } = watch({ latency, noise: 0.2 }, { seconds, seed })
      assert.ok(highest > 220, `${highest} with ${latency} s and seed ${seed}`)
      const { limit } = watch({ latency, noise: 0.2 }, { seconds: 4 * seconds, seed })
      assert.ok(limit > 160, `${limit} with ${latency} s and seed ${seed}`)
    }
  }
})

test('where the server or the machine is what limits, it stays about where that begins, however long a run lasts', () => {
  for (const seed of SEEDS) {
    const { limit } = watch({ latency: 0.001, most: () => 1000, noise: 0.5 }, { seconds: 200, seed })
    assert.ok(limit <= 50, `${limit} with seed ${seed}`)
  }
})

test('goodput that grows by itself is not taken for what more requests brought', () => {
  for (const seed of SEEDS) {
    const most = (second: number) => 3000 * Math.min(1, 0.3 + second / 3)
    const { highest } = watch({ latency: 0.001, most, noise: 0.2 }, { seconds: 6, seed })
    assert.ok(highest <= 40, `${highest} with seed ${seed}`)
  }
})

/** Readings of whole windows, each off by up to `noise`, of what a store gives at a limit. */
function readings(goodputAt: (limit: number, second: number) => number, noise: number, seed: number): number {
  let now = 0
  const random = randomFrom(seed)
  const climb = openClimb('auto', () => now)
  while (now < 600_000) {
    now += 400
    const goodput = goodputAt(climb.limit, now / 1000) * (1 + noise * (2 * random() - 1))
    climb.done(goodput * 400, true, 1000)
  }
  return climb.limit
}

test('noise leads nowhere', () => {
  for (const seed of SEEDS) {
    const flat = readings(() => 1000, 0.08, seed)
    assert.ok(flat <= 50, `${flat} with seed ${seed}`)
    const knee = readings((limit) => Math.min(limit, 90), 0.08, seed)
    assert.ok(knee >= 75 && knee <= 140, `${knee} with seed ${seed}`)
  }
})

test('what is no longer of use is taken back', () => {
  for (const seed of SEEDS) {
    const after = readings((limit, second) => (second < 20 ? limit : Math.min(limit, 60)), 0.05, seed)
    assert.ok(after >= 50 && after <= 100, `${after} with seed ${seed}`)
  }
})

test('hours without work are no measure of anything', () => {
  let now = 0
  const climb = openClimb('auto', () => now)
  for (let n = 0; n < 2000; n++) {
    now += n % 40 === 0 ? 3_600_000 : 400
    climb.done(400_000, true, 1000)
    assert.ok(climb.limit <= 40, `${climb.limit}`)
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
  for (let i = 0; i < 100; i++) {
    now += 500
    climb.done(climb.limit * 500, true, 300)
  }
  assert.ok(climb.limit > 220)
})

test('while nobody waits for a slot, nothing is tried', () => {
  let now = 0
  const climb = openClimb('auto', () => now)
  for (let i = 0; i < 100; i++) {
    now += 500
    climb.done(1000 * i, false, 300)
  }
  assert.equal(climb.limit, 32)
  for (let i = 0; climb.limit === 32 && i < 100; i++) {
    now += 500
    climb.done(1000, true, 300)
  }
  assert.equal(climb.limit, 40, 'a step is being tried')
  now += 500
  climb.done(1000, false, 300)
  assert.equal(climb.limit, 32, 'and has shown nothing')
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
