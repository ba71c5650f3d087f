import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { adoptLinks, type Candidate, chooseVictim, withoutVictim } from '../../src/cache/evict-policy.ts'
import { lowBounds, resolveBounds, withinBounds } from '../../src/cache/limits.ts'

const level = (used: number, free = 1000) => ({ used, free, total: 10_000, inodes: 1e6 })
const one = (id: string, bytes: number, lastUsed: number, more: Partial<Candidate> = {}): Candidate => ({
  id,
  bytes,
  files: 1,
  linked: [],
  lastUsed,
  ...more,
})

test('within the bounds nothing goes', () => {
  const choice = chooseVictim(
    [one('a', 10, 0)],
    level(10),
    { maxUsed: 10, minFree: 1000 },
    { now: 99, grace: 0 },
  )
  assert.deepEqual(choice, { victim: undefined, held: [] })
})

test('over a bound the least recently used goes first, and what is held is named instead', () => {
  const all = [one('new', 10, 50), one('old', 10, 10, { held: 'leased' }), one('mid', 10, 20)]
  const choice = chooseVictim(all, level(30), { maxUsed: 25 }, { now: 99, grace: 0 })
  assert.equal(choice.victim?.id, 'mid')
  assert.deepEqual(
    choice.held.map((h) => [h.candidate.id, h.why]),
    [['old', 'leased']],
  )
  const short = chooseVictim(all, level(5, 10), { minFree: 20 }, { now: 99, grace: 0 })
  assert.equal(short.victim?.id, 'mid')
  const inodes = chooseVictim(all, level(5), { minInodes: 2e6 }, { now: 99, grace: 0 })
  assert.equal(inodes.victim?.id, 'mid')
})

test('what was used within the grace stays, whatever is needed', () => {
  const choice = chooseVictim([one('a', 10, 90)], level(30), { maxUsed: 0 }, { now: 99, grace: 10 })
  assert.equal(choice.victim, undefined)
  assert.equal(choice.held[0]?.why, 'used a moment ago')
})

test('what is older than the age goes without need, the rest stays', () => {
  const all = [one('a', 10, 10), one('b', 10, 80), one('c', 10, 5, { held: 'pinned' })]
  const choice = chooseVictim(all, level(0), {}, { now: 99, grace: 0, maxAge: 50 })
  assert.equal(choice.victim?.id, 'a')
  assert.deepEqual(
    choice.held.map((h) => h.candidate.id),
    ['c'],
  )
  const next = chooseVictim(all.slice(1), level(0), {}, { now: 99, grace: 0, maxAge: 50 })
  assert.equal(next.victim, undefined)
})

test('files that another version links to are not freed with the one they came from', () => {
  const all = [one('old', 100, 1), one('new', 20, 2, { linked: [{ from: 'old', files: 8, bytes: 80 }] })]
  const [old] = all
  assert.ok(old)
  const left = withoutVictim(all, old)
  assert.deepEqual([left.freed, left.used], [20, -20])
  assert.deepEqual(left.candidates, [one('new', 100, 2)])
  const two = [...all, one('other', 1, 3, { linked: [{ from: 'old', files: 1, bytes: 90 }] })]
  const rather = withoutVictim(two, old)
  assert.equal(rather.freed, 0)
  assert.equal(rather.used, 70, 'rather too much than too little')
  assert.deepEqual(
    adoptLinks({ bytes: 1, files: 1, linked: [{ from: 'x', files: 1, bytes: 5 }] }, 'y').bytes,
    1,
  )
})

test('a broken bound is brought down to the watermark, one that holds is left alone', () => {
  const bounds = resolveBounds({ maxSize: { percent: 10 }, minFree: { bytes: 500 } }, 10_000)
  assert.deepEqual(bounds, { maxUsed: 1000, minFree: 500 })
  assert.deepEqual(lowBounds(bounds, level(1001, 600), { percent: 90 }), { maxUsed: 900, minFree: 500 })
  assert.deepEqual(lowBounds(bounds, level(10, 400), { percent: 90 }), { maxUsed: 1000, minFree: 1450 })
  assert.deepEqual(lowBounds(bounds, level(2000, 400), { bytes: 300 }), { maxUsed: 300, minFree: 500 })
  assert.deepEqual(lowBounds({}, level(2000, 400), { percent: 90 }), {})
})

test('evicting until there is no victim meets the bounds, or leaves only what is held', () => {
  const candidate = fc.record({
    bytes: fc.nat(1000),
    lastUsed: fc.nat(100),
    held: fc.option(fc.constant('leased'), { nil: undefined }),
  })
  fc.assert(
    fc.property(fc.array(candidate, { maxLength: 20 }), fc.nat(5000), fc.nat(30), (made, maxUsed, grace) => {
      let all: Candidate[] = made.map((c, i) => ({ ...c, id: `d${i}`, files: 1, linked: [] }))
      let used = all.reduce((sum, c) => sum + c.bytes, 0)
      for (;;) {
        const { victim } = chooseVictim(all, level(used), { maxUsed }, { now: 100, grace })
        if (!victim) break
        assert.equal(victim.held, undefined)
        assert.ok(!withinBounds({ maxUsed }, level(used)), 'nothing goes in vain')
        const older = all.filter((c) => c.lastUsed < victim.lastUsed)
        assert.ok(older.every((c) => c.held !== undefined || 100 - c.lastUsed < grace))
        const left = withoutVictim(all, victim)
        all = left.candidates
        used += left.used
      }
      assert.ok(used <= maxUsed || all.every((c) => c.held !== undefined || 100 - c.lastUsed < grace))
    }),
  )
})
