import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Contestant, contest, type Stage } from '../../bench/contest.ts'
import { report, verdict } from '../../bench/report.ts'
import { speed } from '../../bench/stats.ts'
import type { Run, Target } from '../../bench/types.ts'

const TARGET: Target = {
  scheme: 'https',
  name: 'a server',
  bucket: 'b',
  prefix: '',
  env: {},
  serverPids: [],
  seedsDirectly: false,
  list: async function* () {},
  remove: async () => {},
}

/** The measured time is the number at the end of the command; `fail` fails. */
function benchOf(order: string[], runs: number): Stage {
  const measure: Stage['measure'] = async ({ argv: [name = '', seconds = ''] }) => {
    order.push(name)
    if (seconds === 'fail') throw new Error('ended with 1: no')
    const run: Run = {
      seconds: Number(seconds),
      userSeconds: 1,
      systemSeconds: 1,
      peakRss: 1,
      otherSeconds: 0,
    }
    return { run, stdout: '' }
  }
  const peers = { python: 'python', s5cmd: '/s5cmd', rclone: '/rclone', versions: {} }
  const { signal } = new AbortController()
  return {
    runs,
    quick: false,
    dir: '/none',
    peers,
    measure,
    tuned: new Map(),
    signal,
    say: () => {},
  }
}

function contestant(name: string, ...seconds: string[]): Contestant {
  const ways = seconds.map((each) => ({ setting: each, argv: [name, each] }))
  return { name, ways, check: async () => {}, clear: async () => {} }
}

test('Contestants take turns, each round begins with another one, and a peer runs with its best setting', async () => {
  const order: string[] = []
  const contestants = [contestant('longshore', '2'), contestant('s5cmd', '9', '6', '8')]
  const result = await contest(benchOf(order, 3), TARGET, {
    title: 'race',
    objects: 10,
    bytes: 10,
    contestants,
    claims: (named) => [speed(named('longshore'), named('s5cmd'), { atLeast: 3, aim: 3 })],
  })
  assert.deepEqual(order.slice(0, 4), ['longshore', 's5cmd', 's5cmd', 's5cmd'])
  assert.deepEqual(order.slice(4), ['longshore', 's5cmd', 's5cmd', 'longshore', 'longshore', 's5cmd'])
  assert.equal(result.entrants[1]?.line, 's5cmd 6')
  assert.deepEqual(result.claims.map(verdict), ['aim met'])
})

test('A tool that fails says so, the others go on, and nothing is claimed against it', async () => {
  const result = await contest(benchOf([], 2), TARGET, {
    title: 'race',
    objects: 10,
    bytes: 10,
    contestants: [contestant('longshore', '2'), contestant('s5cmd', 'fail')],
    claims: (named) => [speed(named('longshore'), named('s5cmd'), { atLeast: 3 })],
  })
  assert.equal(result.entrants[0]?.runs.length, 2)
  assert.match(result.entrants[1]?.failed ?? '', /ended with 1/)
  assert.deepEqual(result.claims.map(verdict), ['**not measured**'])
  const machine = { cores: 2, cpu: 'x', memory: 1, kernel: 'k', node: 'v', filesystem: 'f', versions: {} }
  const row = { id: 1, title: 'race', contests: [result], notes: [] }
  const page = report([{ at: '2026-01-01T00:00:00Z', machine, runs: 2, scheme: 'https', row }])
  assert.match(page, /\| s5cmd \| failed: ended with 1: no/)
})

test('A bound that is missed, met, or met short of its aim is called just that', () => {
  const ratio = { what: 'speed', unit: '×', atLeast: 3, aim: 4 } as const
  assert.equal(verdict({ ...ratio, value: 2.99 }), '**missed**')
  assert.equal(verdict({ ...ratio, value: 3 }), 'met, aim missed')
  assert.equal(verdict({ ...ratio, value: 4 }), 'aim met')
  const growth = { what: 'growth', unit: '%', atMost: 15 } as const
  assert.equal(verdict({ ...growth, value: 15 }), 'met')
  assert.equal(verdict({ ...growth, value: 16 }), '**missed**')
})
