import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eachOf } from '../../src/pack/each-of.ts'

test('when the items themselves fail, what was begun is waited for', async () => {
  async function* items() {
    yield 1
    throw new Error('no more items')
  }
  let ended = false
  const work = async (): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, 20))
    ended = true
  }
  await assert.rejects(eachOf(items(), 4, work), /no more items/)
  assert.ok(ended)
})

test('after a failure nothing more is begun, and the first one is told', async () => {
  const begun: number[] = []
  const work = async (item: number): Promise<void> => {
    begun.push(item)
    await new Promise((resolve) => setImmediate(resolve))
    if (item >= 2) throw new Error(`item ${item}`)
  }
  await assert.rejects(eachOf([1, 2, 3, 4, 5, 6, 7, 8], 2, work), /item 2/)
  assert.ok(begun.length <= 4, begun.join())
})
