import { openEngine } from '../../src/transfer/engine.ts'
import type { Engine, EngineOptions } from '../../src/transfer/types.ts'
import type { Cleanup } from './tmp.ts'

const MiB = 1024 * 1024

/** What worker threads run in tests. */
export const WORKER_FILE = new URL('./worker.mjs', import.meta.url)

/** An engine for a test, closed after it. With `workers` its threads run the source as it is written. */
export function testEngine(
  t: Cleanup,
  options: Partial<EngineOptions> = {},
  parts: Parameters<typeof openEngine>[1] = {},
): Engine {
  const engine = openEngine(
    { concurrency: 8, memory: 64 * MiB, ...options },
    { workerFile: WORKER_FILE, ...parts },
  )
  t.after(() => engine.close())
  return engine
}
