// A pack in a process of its own, to be killed: node --import tsx pack-child.ts SOURCE DESTINATION [SHARD_MIB MEMORY_MIB]
import { pack } from '../../src/commands/pack.ts'
import { SILENT } from '../../src/progress.ts'
import { S3_DEFAULTS } from '../../src/s3/settings.ts'
import { LANE } from '../support/lanes.ts'
import { PACK_DEFAULTS } from './plan-of.ts'

const [, , source = '', destination = '', shard = '9', memory = '32'] = process.argv
await pack(
  {
    ...PACK_DEFAULTS,
    source,
    destination,
    shardSize: Number(shard) * 2 ** 20,
    shuffle: shard === '9' ? undefined : false,
  },
  {
    signal: new AbortController().signal,
    progress: SILENT,
    s3: {
      ...{ ...S3_DEFAULTS, lane: LANE },
      ...{ endpointUrl: process.env.AWS_ENDPOINT_URL, region: process.env.AWS_REGION },
    },
    engine: { lane: LANE, concurrency: 4, memory: Number(memory) * 2 ** 20 },
    dryRun: false,
    env: process.env,
  },
)
