// A pack in a process of its own, to be killed: node --import tsx pack-child.ts SOURCE DESTINATION
import { pack } from '../../src/commands/pack.ts'
import { SILENT } from '../../src/progress.ts'
import { S3_DEFAULTS } from '../../src/s3/settings.ts'
import { PACK_DEFAULTS } from './plan-of.ts'

const [, , source = '', destination = ''] = process.argv
await pack(
  { ...PACK_DEFAULTS, source, destination, shardSize: 9 * 2 ** 20 },
  {
    signal: new AbortController().signal,
    progress: SILENT,
    s3: S3_DEFAULTS,
    engine: { concurrency: 4, memory: 32 * 2 ** 20 },
    dryRun: false,
    env: process.env,
  },
)
