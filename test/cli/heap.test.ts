import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { limitHeaps } from '../../src/cli/heap.ts'

const HEAP = new URL('../../src/cli/heap.ts', import.meta.url).href

/** Makes garbage that lives for a moment, over 60 MiB that stay, and prints how large the heap became. MiB */
const script = (before: string) => `
  ${before}
  const kept = Array.from({ length: 600_000 }, (_, i) => ({ i, name: 'key ' + i }))
  let most = 0
  let ring = []
  for (let i = 0; i < 3_000_000; i++) {
    ring.push({ i, name: 'object ' + i })
    if (ring.length > 150_000) ring = []
    if (i % 10_000 === 0) most = Math.max(most, process.memoryUsage().heapUsed)
  }
  console.log(Math.round(most / 2 ** 20), kept.length)
`

function run(before: string) {
  const args = ['--import', 'tsx', '--input-type=module', '-e', script(before)]
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return { most: Number(stdout.split(' ')[0]), stderr }
}

test('a heap grows little beyond what is alive in it, and V8 has nothing to say against it', () => {
  const free = run('')
  const limited = run(`const { limitHeaps } = await import(${JSON.stringify(HEAP)}); limitHeaps()`)
  assert.equal(limited.stderr, '')
  assert.ok(limited.most < free.most * 0.85, `${limited.most} MiB, ${free.most} without the limit`)
})

test('a V8 that nobody has tried is left as it is', () => {
  assert.equal(limitHeaps('99.1.2-node.3'), false)
})
