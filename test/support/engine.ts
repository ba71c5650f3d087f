import { openEngine } from '../../src/transfer/engine.ts'
import type { Engine, EngineOptions } from '../../src/transfer/types.ts'
import type { Cleanup } from './tmp.ts'

const MiB = 1024 * 1024

/**
 * What worker threads run in tests: what scripts/test.mjs found built, else the source as it is written. A thread
 * with tsx starts one more for its hooks, which takes a second; a test process that had both was once seen not to end.
 */
export const WORKER_FILE = new URL(process.env.LONGSHORE_TEST_WORKER ?? './worker.mjs', import.meta.url)

/** An engine for a test, closed after it. */
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
