// Holds a dataset's lock and a promise of space until it is killed:  reserve-child.ts CACHE DATASET BYTES
import { lockDataset } from '../../src/cache/locks.ts'
import { openCache } from '../../src/cache/open.ts'
import { reserve } from '../../src/cache/reserve.ts'

const [cacheDir, dataset = '', bytes] = process.argv.slice(2)
const cache = await openCache({ cacheDir, mode: 'private', env: {}, create: false })
await lockDataset(cache, dataset, { wait: true })
await reserve(cache, { dataset, bytes: Number(bytes), files: 1, makeRoom: false })
process.stdout.write('promised\n')
setInterval(() => {}, 1000)
