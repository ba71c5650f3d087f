import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSortRun, type SortRecord } from '../../src/fs/sort-run.ts'

const record = (key: string, value = ''): SortRecord => ({ key, value })

test('a run that is full takes no more, and after clear() as much as before', () => {
  const run = createSortRun(30)
  for (let round = 0; round < 2; round++) {
    assert.deepEqual(
      ['b', 'a', 'c', 'd'].map((key) => run.add(record(key))),
      [true, true, true, false],
    )
    run.sort()
    assert.deepEqual(
      [...run.batches()].flat().map(({ key }) => key),
      ['a', 'b', 'c'],
    )
    run.clear()
  }
})

test('a run whose memory was given back refuses what it is given, and loses nothing unseen', () => {
  const run = createSortRun(100)
  run.add(record('a'))
  run.release()
  assert.equal(run.length, 0)
  assert.equal(run.add(record('b')), false)
  assert.equal(run.add(record('')), false)
  assert.deepEqual([...run.batches()], [])
})
