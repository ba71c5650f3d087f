// Holds a live lease until it is killed:  lease-child.ts CACHE DATASET
import { takeLease } from '../../src/cache/leases.ts'
import { openCache } from '../../src/cache/open.ts'

const [cacheDir, dataset = ''] = process.argv.slice(2)
const cache = await openCache({ cacheDir, mode: 'private', env: {}, create: false })
await takeLease(cache, { dataset, owner: 'child', live: true })
process.stdout.write('leased\n')
setInterval(() => {}, 1000)
