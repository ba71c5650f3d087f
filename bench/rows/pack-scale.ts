import { shardsArrived } from '../check.ts'
import { type Contestant, contest } from '../contest.ts'
import type { DataSet } from '../data.ts'
import { longshore, urlOf } from '../longshore.ts'
import { room, type Sizes } from '../sizes.ts'
import { cpuOf, rssOf } from '../stats.ts'
import type { Claim, Contest, Row, Target } from '../types.ts'

const MIB = 2 ** 20
/** A pack of so few objects is its start and its end: they would make a small one look dear by the object. */
const START = 20

export function tinySet(sizes: Sizes, objects: number) {
  return { id: `tiny-${objects}`, objects, meanBytes: sizes.tinyBytes }
}

export const packScale: Row = {
  id: 6,
  title: 'pack of more and more objects',
  schemes: ['https'],
  needs: (sizes) => 2 * sizes.scale.reduce((sum, objects) => sum + room(objects, sizes.tinyBytes), 0),
  reads: (sizes) => [START, ...sizes.scale].map((objects) => tinySet(sizes, objects).id),
  async run(bench, target) {
    const contests: Contest[] = []
    for (const objects of [START, ...bench.sizes.scale]) {
      const set = await bench.data.inBucket(target, tinySet(bench.sizes, objects))
      // What is asked here is growth, which one run of so many objects shows as well as three.
      const once = { ...bench, runs: objects > 20_000 ? 1 : bench.runs }
      contests.push(
        await contest(once, target, {
          title: `pack of ${objects.toLocaleString('en')} objects`,
          objects,
          bytes: set.bytes,
          contestants: [packing(target, set)],
          warmUp: false,
          claims: () => [],
        }),
      )
    }
    contests.at(-1)?.claims.push(...growth(contests))
    return {
      contests,
      notes: [
        `CPU an object is counted above that of a pack of ${START} objects, which is start and end only. Peak RSS ` +
          'is flat when the largest pack needs no more than a tenth above the one before it.',
      ],
    }
  },
}

function packing(target: Target, set: DataSet): Contestant {
  const to = 'scale/'
  return {
    name: 'longshore',
    ways: [
      { setting: 'default', argv: longshore(target, ['pack', urlOf(target, set.prefix), urlOf(target, to)]) },
    ],
    check: ({ thorough }) => shardsArrived(target, to, { set, thorough }),
    clear: () => target.remove(to),
  }
}

function growth(contests: Contest[]): Claim[] {
  const measured = contests.flatMap(({ objects, entrants: [entrant] }) =>
    entrant === undefined || entrant.failed !== undefined || entrant.runs.length === 0
      ? []
      : [{ objects, cpu: cpuOf(entrant), rss: rssOf(entrant) }],
  )
  // One that failed is not left out of the comparison: nothing is claimed then.
  const complete = measured.length === contests.length
  const [start, smallest] = measured
  const [before, largest] = measured.slice(-2)
  const claims: Claim[] = [
    { what: 'growth of CPU an object, smallest to largest', unit: '%', atMost: 15 },
    { what: 'peak RSS, any size', unit: 'MiB', atMost: 400 },
    { what: 'growth of peak RSS, last two sizes', unit: '%', atMost: 10 },
  ]
  if (!complete || !start || !smallest || !before || !largest) return claims
  const each = (size: { objects: number; cpu: number }) =>
    (size.cpu - start.cpu) / (size.objects - start.objects)
  const values = [
    (each(largest) / each(smallest) - 1) * 100,
    Math.max(...measured.map((size) => size.rss)) / MIB,
    (largest.rss / before.rss - 1) * 100,
  ]
  return claims.map((claim, i) => ({ ...claim, value: values[i] }))
}
