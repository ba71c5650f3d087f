// Evicts everything it may, over and over, until it is killed:  evict-child.ts CACHE [once]
import { evictToBounds } from '../../src/cache/evict.ts'
import { openCache } from '../../src/cache/open.ts'

const [cacheDir, once] = process.argv.slice(2)
const cache = await openCache({ cacheDir, mode: 'private', env: {}, create: false })
process.stdout.write('begun\n')
do {
  await evictToBounds(cache, {
    bounds: { maxUsed: 0 },
    watermark: { percent: 100 },
    grace: 0,
    dryRun: false,
  })
} while (!once)
