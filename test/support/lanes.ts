import assert from 'node:assert/strict'
import type { FaultAction, FaultRule } from '../../src/devserver/fault-rule.ts'
import type { DevServer } from '../../src/devserver/types.ts'

/**
 * The same tests in another weather (scripts/test.mjs, lanes `sdk` and `faults`).
 * LONGSHORE_LANE=sdk: every engine that a test opens, here or in a child process, moves its bytes by the SDK lane.
 * LONGSHORE_TEST_FAULTS=5: every fifth request to a test's dev server goes wrong in one of the ways below.
 */
export const LANE: 'sdk' | undefined = process.env.LONGSHORE_LANE === 'sdk' ? 'sdk' : undefined

const EVERY = Number(process.env.LONGSHORE_TEST_FAULTS ?? 0)

/** All of these are worth a retry: no test may notice. */
const WEATHER: readonly FaultAction[] = [
  { kind: 'status', status: 503 },
  { kind: 'reset' },
  { kind: 'short-body', bytes: 7 },
  { kind: 'lost-answer' },
  { kind: 'status', status: 500 },
  { kind: 'reset', afterBytes: 10 },
  { kind: 'cut-head', bytes: 40 },
  { kind: 'slow-head', bytes: 20, ms: 100 },
]

/** For tests that would else give up soon: in bad weather one request may be struck several times over. */
export const FEW_RETRIES = EVERY > 0 ? 10 : 3

let servers = 0

/** Rules for one more server. Each begins with another fault, at another request: small tests meet them all. */
export function weather(every = EVERY): FaultRule[] {
  if (!(every > 0)) return []
  const from = servers % WEATHER.length
  const first = (servers % every) + 1
  servers++
  return [
    {
      match: { every, skip: first - every },
      do: [...WEATHER.slice(from), ...WEATHER.slice(0, from)],
      inTurn: true,
    },
  ]
}

/** That the switch reached every engine: the wire lane names itself `longshore` and no more, the SDK many things. */
export function assertNoWire(server: DevServer): void {
  const wire = server.requests.all().filter((request) => request.userAgent === 'longshore')
  assert.deepEqual(
    wire.map(({ method, key }) => `${method} ${key}`),
    [],
    'went by the wire lane',
  )
}
