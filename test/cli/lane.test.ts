import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readLane } from '../../src/cli/lane.ts'

test('LONGSHORE_LANE is wire unless it says sdk, and nothing else is taken for either', () => {
  assert.equal(readLane({}), 'wire')
  assert.equal(readLane({ LONGSHORE_LANE: '' }), 'wire')
  assert.equal(readLane({ LONGSHORE_LANE: 'sdk' }), 'sdk')
  assert.throws(() => readLane({ LONGSHORE_LANE: 'SDK' }), { code: 'BAD_CONFIG', message: /LONGSHORE_LANE/ })
})
