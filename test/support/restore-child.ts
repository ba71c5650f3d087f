// A restore in a process of its own, to be killed: node --import tsx restore-child.ts SOURCE DIR ENDPOINT
import { restore } from '../../src/commands/restore.ts'
import { SILENT } from '../../src/progress.ts'
import { S3_DEFAULTS } from '../../src/s3/settings.ts'
import { LANE } from './lanes.ts'

const [source = '', dir = '', endpointUrl = ''] = process.argv.slice(2)
await restore(
  { source, dir, step: 'latest', ifExists: 'skip', allowNone: false, list: false },
  {
    signal: new AbortController().signal,
    progress: {
      ...SILENT,
      phase: (name) => void process.stdout.write(`${name}\n`),
      done: ({ bytes = 0 }) => void process.stdout.write(`done ${bytes}\n`),
    },
    s3: { ...S3_DEFAULTS, endpointUrl, region: 'us-east-1', lane: LANE },
    engine: { lane: LANE, concurrency: 2, memory: 64 * 1024 * 1024 },
    dryRun: false,
    env: process.env,
  },
)
