import assert from 'node:assert/strict'
import { test } from 'node:test'
import { folderOf } from '../../src/cache/datasets.ts'
import { pinDataset, readHolds, takeLease } from '../../src/cache/leases.ts'
import { release } from '../../src/commands/release.ts'
import { isLongshoreError } from '../../src/errors.ts'
import { context, makeCache, makeDataset } from '../cache/support.ts'
import { tempDir } from '../support/tmp.ts'

test('leases and pins end by their id, their owner, and the path or id of their dataset', async (t) => {
  const cache = await makeCache(tempDir(t))
  const dataset = await makeDataset(cache, 'a')
  const run = (id: string, dryRun = false) =>
    release({ cacheDir: cache.root, cacheMode: 'private', id }, context({ dryRun }))
  const take = () => takeLease(cache, { dataset: dataset.id, owner: 'slurm-1' })
  for (const name of [dataset.path, `${folderOf(cache, dataset)}/`, dataset.id, 'slurm-1', undefined]) {
    const { id } = await take()
    const released = [{ id, kind: 'lease' as const, dataset: dataset.id }]
    assert.deepEqual((await run(name ?? id, true)).released, released)
    assert.equal((await readHolds(cache)).size, 1, 'a dry run ends nothing')
    assert.deepEqual((await run(name ?? id)).released, released)
    assert.equal((await readHolds(cache)).size, 0)
  }
  await pinDataset(cache, { dataset: dataset.id, owner: 'me' })
  await take()
  assert.deepEqual((await run(dataset.path)).released.map((r) => r.kind).sort(), ['lease', 'pin'])
})

test('a name that nothing goes by is NOT_FOUND, and shows where to look', async (t) => {
  const cache = await makeCache(tempDir(t))
  await makeDataset(cache, 'a')
  for (const id of ['nobody', '/no/such/path', '']) {
    await assert.rejects(release({ cacheDir: cache.root, cacheMode: 'private', id }, context()), (e) => {
      return isLongshoreError(e, 'NOT_FOUND') && e.hint?.includes('longshore status')
    })
  }
})
