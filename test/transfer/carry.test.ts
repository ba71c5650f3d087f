import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { openBuffers } from '../../src/transfer/buffers.ts'
import { carry } from '../../src/transfer/carry.ts'
import { openCore } from '../../src/transfer/core.ts'
import { openLocalIo } from '../../src/transfer/local-io.ts'
import { openPace } from '../../src/transfer/pace.ts'
import { openSlots } from '../../src/transfer/slots.ts'
import type { Transfer } from '../../src/transfer/types.ts'
import { tempDir } from '../support/tmp.ts'

/** A core with two slots, over a store whose answers come one by one when they are asked for. */
function withStore() {
  const buffers = openBuffers(2 ** 20)
  const seen = { taken: 0, given: 0, bodies: [] as Buffer[] }
  const answers: (() => void)[] = []
  const core = openCore({
    buffers: {
      ...buffers,
      take(length) {
        seen.taken++
        return buffers.take(length)
      },
      give(buffer) {
        seen.given++
        buffers.give(buffer)
      },
    },
    slots: openSlots({ limit: 2, enter: () => true, leave() {}, done() {} }),
    pace: openPace(undefined),
    io: openLocalIo({ stuckMs: 1000 }),
    counters: { request() {}, behind() {}, retry() {}, bytesIn() {}, bytesOut() {} },
    thread: undefined,
  })
  core.stores.set('s', {
    url: 's3://s',
    async getInto({ etag, offset }, into) {
      await new Promise<void>((resolve) => answers.push(resolve))
      into.fill(offset)
      return { etag, check: 'size' }
    },
    async putPart({ partNumber, body, crc32 }) {
      seen.bodies.push(Buffer.from(body))
      return { partNumber, etag: '"p"', size: body.length, crc32 }
    },
    put: async () => ({ status: 'written', etag: '"o"' }),
  })
  return { core, seen, answers }
}

/** Four objects of ten bytes, known bytes and, where there is one, a file's. */
function part(id: number, path?: string): Transfer {
  const object = (n: number) => ({
    ...{ kind: 'object' as const, at: n * 10, length: 10, store: 's', key: 'k' },
    ...{ offset: id * 10 + n, size: 1000, etag: '"e"' },
  })
  return {
    id,
    length: path === undefined ? 42 : 44,
    pieces: [
      ...[0, 1, 2, 3].map(object),
      { kind: 'bytes', at: 40, length: 2, bytes: Buffer.from('ab') },
      ...(path === undefined ? [] : [{ kind: 'file' as const, at: 42, length: 2, path, offset: 0 }]),
    ],
    to: { kind: 'part', store: 's', key: 'up', uploadId: 'u', partNumber: id, offset: 0 },
  }
}

test('parts take their memory when their first object has its turn: of five that wait, as many as are being filled', async () => {
  const { core, seen, answers } = withStore()
  const under = { signal: new AbortController().signal, abort: assert.fail }
  const carried = [1, 2, 3, 4, 5].map((id) => carry(core, part(id), under))
  await turn()
  assert.equal(seen.taken, 1)
  for (let most = 1; seen.given < 5; ) {
    answers.shift()?.()
    await turn()
    most = Math.max(most, seen.taken - seen.given)
    assert.ok(most <= 2, `${most} at once, of two slots`)
  }
  for (const { ok } of await Promise.all(carried)) assert.ok(ok)
})

test('when a part has its turn, its known bytes and those of files come with its objects', async (t) => {
  const path = join(tempDir(t), 'f')
  writeFileSync(path, 'cd')
  const { core, seen, answers } = withStore()
  const under = { signal: new AbortController().signal, abort: assert.fail }
  const carried = carry(core, part(3, path), under)
  while (seen.given === 0) {
    answers.shift()?.()
    await turn()
  }
  await carried
  const objects = [0, 1, 2, 3].map((n) => Buffer.alloc(10, 30 + n))
  assert.deepEqual(seen.bodies, [Buffer.concat([...objects, Buffer.from('abcd')])])
})

test('a part whose turn never comes takes no memory', async () => {
  const { core, seen, answers } = withStore()
  const stop = new AbortController()
  const under = { signal: stop.signal, abort() {} }
  const both = Promise.allSettled([carry(core, part(1), under), carry(core, part(2), under)])
  await turn()
  stop.abort(new Error('enough'))
  core.slots.sweep()
  while (answers.length > 0) answers.shift()?.()
  assert.deepEqual(
    (await both).map((end) => end.status === 'rejected' && end.reason.message),
    ['enough', 'enough'],
  )
  assert.deepEqual([seen.taken, seen.given], [1, 1])
})

test('without memory a part fails as a whole, and says so', async () => {
  const { core } = withStore()
  core.buffers.take = () => {
    throw new RangeError('Array buffer allocation failed')
  }
  const stop = new AbortController()
  const under = { signal: stop.signal, abort: (error: unknown) => stop.abort(error) }
  await assert.rejects(carry(core, part(1), under), { message: 'Array buffer allocation failed' })
})
