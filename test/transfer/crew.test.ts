import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { localStore } from '../../src/s3/local-store.ts'
import { openClimb } from '../../src/transfer/climb.ts'
import { openCrew } from '../../src/transfer/crew.ts'
import { openScope } from '../../src/transfer/scope.ts'
import type { Transfer, TransferResult } from '../../src/transfer/types.ts'
import { WORKER_FILE } from '../support/engine.ts'
import { tempDir } from '../support/tmp.ts'

function crewOf(workers: number) {
  return openCrew({
    ...{ workers, forLarge: 0, file: WORKER_FILE, bwlimit: undefined, memory: 2 ** 20, stuckMs: 60_000 },
    climb: openClimb(8),
    ownNeed: () => 0,
    onRetry: assert.fail,
    handOver: assert.fail,
    here: () => assert.fail(),
  })
}

test('threads boot ahead of work that is worth them, once', async (t) => {
  const crew = crewOf(3)
  t.after(() => crew.close())
  crew.boot()
  assert.equal(crew.started, 1)
  crew.boot({ files: 2, bytes: 8 * 2 ** 20 })
  assert.equal(crew.started, 2)
  crew.boot()
  crew.boot({ files: 100, bytes: 2 ** 30 })
  crew.boot({ files: 100, bytes: 2 ** 30 })
  assert.equal(crew.started, 3)
})

test('the first thing that a thread is given opens all of the limit to it, since more may follow before the next look', async (t) => {
  const root = tempDir(t)
  writeFileSync(join(root, 'k'), 'x')
  const store = localStore(root)
  const etag = (await store.head('k'))?.etag ?? ''
  const crew = crewOf(1)
  t.after(() => crew.close())
  crew.reach(store.url, { root })
  const transfer: Transfer = {
    id: 1,
    length: 1,
    pieces: [{ kind: 'object', at: 0, length: 1, store: store.url, key: 'k', offset: 0, size: 1, etag }],
    to: { kind: 'memory' },
  }
  const moved = new Promise<TransferResult>((settle) => crew.start(transfer, openScope(), settle))
  assert.equal(crew.shared.member(1).share, 8)
  assert.ok((await moved).ok)
})
