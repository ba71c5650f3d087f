// An engine with threads that nobody closes, in a process of its own: node --import tsx idle-engine.ts DIR
import { localStore } from '../../src/s3/local-store.ts'
import { openEngine } from '../../src/transfer/engine.ts'
import { WORKER_FILE } from './engine.ts'

const store = localStore(process.argv[2] ?? '')
const engine = openEngine({ concurrency: 4, memory: 1 << 20, workers: 2 }, { workerFile: WORKER_FILE })
const piece = { kind: 'object' as const, at: 0, length: 3, store: engine.attach(store), key: 'k', offset: 0 }
const pieces = [{ ...piece, size: 3, etag: '' }]
const { body } = await engine.move({ id: 1, length: 3, pieces, to: { kind: 'memory' } })
process.stdout.write(body ?? '')
