// The worker thread of the engine as it is written: tsx does not reach into threads by itself.
import { register } from 'tsx/esm/api'

register()
await import('../../src/transfer/worker.ts')
