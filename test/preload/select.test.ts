import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isLongshoreError } from '../../src/errors.ts'
import { nodeFromEnv } from '../../src/preload/node-share.ts'
import { ALL, covers, createSelector, parseSelection, selectionText } from '../../src/preload/select.ts'

test('the shares of all nodes cover every item exactly once, and differ by one item at most', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 0, max: 500 }), (world, items) => {
      const seen = new Array<number>(items).fill(0)
      const sizes: number[] = []
      for (let rank = 0; rank < world; rank++) {
        const { deals } = createSelector({ include: [], exclude: [], node: { rank, world } })
        let size = 0
        for (let i = 0; i < items; i++) {
          if (!deals(i)) continue
          seen[i] = (seen[i] ?? 0) + 1
          size++
        }
        sizes.push(size)
      }
      assert.ok(seen.every((n) => n === 1))
      assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1)
    }),
  )
})

test('exclude wins, a glob without a slash matches at any depth, and dotfiles are files', () => {
  const { wants } = createSelector({ include: ['*.jpg', 'meta/'], exclude: ['**/bad/**', '/top.jpg'] })
  assert.deepEqual(
    ['a.jpg', 'x/y/.b.jpg', 'meta/.c', 'x/bad/a.jpg', 'top.jpg', 'x/top.jpg', 'a.png'].filter(wants),
    ['a.jpg', 'x/y/.b.jpg', 'meta/.c', 'x/top.jpg'],
  )
})

test('a selection is the same text however it is written down, and the text can be read back', () => {
  assert.equal(selectionText({ include: [], exclude: [], node: { rank: 0, world: 1 } }), ALL)
  const text = selectionText({ include: ['b', 'a', 'b'], exclude: ['x'], node: { rank: 1, world: 4 } })
  assert.equal(text, selectionText({ include: ['a', 'b'], exclude: ['x'], node: { rank: 1, world: 4 } }))
  const back = parseSelection(text)
  assert.ok(back)
  assert.equal(selectionText(back), text)
  assert.equal(parseSelection('{"include":1}'), undefined)
})

test('the whole covers a part, a part covers itself and the shares of it, and nothing else', () => {
  const part = { include: ['*.jpg'], exclude: [] }
  assert.ok(covers(ALL, part))
  assert.ok(covers(selectionText(part), { ...part, node: { rank: 2, world: 3 } }))
  assert.ok(!covers(selectionText(part), { include: [], exclude: [] }))
  assert.ok(
    !covers(selectionText({ ...part, node: { rank: 0, world: 3 } }), {
      ...part,
      node: { rank: 1, world: 3 },
    }),
  )
})

test('the launcher tells the share: Slurm, torchrun, Kubernetes, Batch, Open MPI', () => {
  const share = { rank: 2, world: 4 }
  assert.deepEqual(nodeFromEnv({ SLURM_NODEID: '2', SLURM_NNODES: '4' }), share)
  assert.deepEqual(nodeFromEnv({ GROUP_RANK: '2', GROUP_WORLD_SIZE: '4' }), share)
  assert.deepEqual(nodeFromEnv({ NODE_RANK: '2', NNODES: '4' }), share)
  assert.deepEqual(nodeFromEnv({ JOB_COMPLETION_INDEX: '2', JOB_COMPLETIONS: '4' }), share)
  assert.deepEqual(nodeFromEnv({ AWS_BATCH_JOB_NODE_INDEX: '2', AWS_BATCH_JOB_NUM_NODES: '4' }), share)
  const mpi = { OMPI_COMM_WORLD_RANK: '17', OMPI_COMM_WORLD_SIZE: '32', OMPI_COMM_WORLD_LOCAL_SIZE: '8' }
  assert.deepEqual(nodeFromEnv(mpi), share)
  assert.equal(nodeFromEnv({ PATH: '/bin' }), undefined)
})

test('a rank without a world, or outside it, is refused by name', () => {
  for (const env of [{ JOB_COMPLETION_INDEX: '3' }, { SLURM_NODEID: '4', SLURM_NNODES: '4' }]) {
    assert.throws(
      () => nodeFromEnv(env),
      (e) => isLongshoreError(e, 'USAGE') && /SLURM_NODEID|JOB_COMPLETION_INDEX/.test(e.message),
    )
  }
})
