import assert from 'node:assert/strict'
import { test } from 'node:test'
import { workersOf as divide, engineLine, engineOptions } from '../../src/cli/engine-options.ts'
import { GLOBALS } from '../../src/cli/global-options.ts'
import { resolveOptions } from '../../src/cli/resolve.ts'
import { usableCores } from '../../src/transfer/cores.ts'

const stats = {
  ...{ requests: { GET: 2 }, retries: 0, slowdowns: 1, bytesIn: 1, bytesOut: 0, concurrency: 40 },
  ...{ peakBuffer: 1, handedOver: {}, workers: 1, alive: 0, behind: 0 },
}

function workersOf(given: string | undefined, env: Record<string, string> = {}, mostWorkers?: number) {
  const line = (spec: unknown) => (spec === GLOBALS.workers && given !== undefined ? [given] : undefined)
  const globals = resolveOptions(GLOBALS, { line, env, config: { find: () => undefined }, section: '' })
  return engineOptions(globals, env, { mostWorkers, tell() {}, hold() {}, onStuck() {} }).workers
}

test('--workers auto is a thread a core, the last one for large ranges only, and two at most beside a trainer', () => {
  assert.equal(workersOf(undefined), usableCores())
  assert.equal(workersOf('auto', {}, 1), 1)
  assert.deepEqual(divide('auto', 1, Infinity), { workers: 1, workersForLarge: 0 })
  assert.deepEqual(divide('auto', 2, Infinity), { workers: 2, workersForLarge: 1 })
  assert.deepEqual(divide('auto', 16, 2), { workers: 2, workersForLarge: 0 })
  assert.deepEqual(divide(2, 2, Infinity), { workers: 2, workersForLarge: 0 })
})

test('--workers N is taken as it is, also from the environment; anything else is refused', () => {
  assert.equal(workersOf('0'), 0)
  assert.equal(workersOf('5', {}, 2), 5)
  assert.equal(workersOf(undefined, { LONGSHORE_WORKERS: '3' }), 3)
  for (const bad of ['-1', '2.5', 'many', '']) {
    assert.throws(() => workersOf(bad), { code: 'USAGE', message: /^--workers: / })
  }
})

test('the last line of -v says what the engine came to, by reason; nothing when nothing moved', () => {
  const none = 'transfer: 1 worker, concurrency 40, 1 slowdowns; handed to the SDK lane: none'
  assert.equal(engineLine(stats), none)
  const some = engineLine({ ...stats, workers: 2, handedOver: { chunked: 1, 'answer 404': 3 } })
  assert.match(engineLine({ ...stats, behind: 7 }) ?? '', /, 1 slowdowns, 7 GETs pipelined; /)
  assert.match(some ?? '', /^transfer: 2 workers, .*: 3 × answer 404, 1 × chunked$/)
  assert.equal(engineLine({ ...stats, requests: {} }), undefined)
})
