import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { ObjectStore } from '../../src/s3/store.ts'
import { withDevServer } from '../support/devserver.ts'

const MIB = Buffer.alloc(1 << 20, 'x')

async function bucket(t: TestContext) {
  const dev = await withDevServer(t, { undisturbed: 'its tests bring their own trouble, and count' })
  return { dev, store: await dev.openStore({ retries: 1 }), faults: dev.server.faults }
}

/** `mib` MiB, then the end; with `stall` silence instead of the end. */
function stream(mib: number, about: { stall?: boolean } = {}) {
  const counted = { taken: 0 }
  async function* chunks() {
    for (let i = 0; i < mib; i++) {
      counted.taken++
      yield MIB
    }
    if (about.stall) await new Promise(() => {})
  }
  return Object.assign(counted, { body: Readable.from(chunks()) })
}

async function openUploads(store: ObjectStore): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.listUploads('')) keys.push(key)
  return keys
}

for (const [when, action] of [
  ['UploadPart', { kind: 'stall' }],
  ['CreateMultipartUpload', { kind: 'delay', ms: 300 }],
  ['CompleteMultipartUpload', { kind: 'stall' }],
] as const) {
  test(`a stream that is stopped during ${when} leaves no upload open`, async (t) => {
    const { store, faults, dev } = await bucket(t)
    faults.add({ match: { operation: when }, do: action })
    const controller = new AbortController()
    const reason = new Error('stop')
    const kind = { UploadPart: 'PART', CreateMultipartUpload: 'CREATE', CompleteMultipartUpload: 'COMPLETE' }[
      when
    ]
    const { body } = stream(17)
    const sending = store.putStream('s', body, {
      signal: controller.signal,
      onRequest: (asked) => {
        if (asked === kind) setTimeout(() => controller.abort(reason), 50)
      },
    })
    await assert.rejects(sending, (error) => error === reason)
    assert.deepEqual(await openUploads(store), [])
    assert.equal(dev.server.objects.get('test', 's'), undefined)
    assert.ok(body.destroyed)
  })
}

test('a stream that says nothing more can be stopped, and leaves no upload open', async (t) => {
  const { store, dev } = await bucket(t)
  const controller = new AbortController()
  const reason = new Error('stop')
  const sending = store.putStream('s', stream(17, { stall: true }).body, { signal: controller.signal })
  sending.catch(() => {})
  for (let i = 0; i < 500 && dev.server.requests.count('UploadPart') === 0; i++) await pause(10)
  controller.abort(reason)
  await assert.rejects(sending, (error) => error === reason)
  assert.deepEqual(await openUploads(store), [])
})

test('a stream under a signal that was aborted before asks for nothing', async (t) => {
  const { store, dev } = await bucket(t)
  const reason = new Error('stop')
  const { body } = stream(1)
  await assert.rejects(
    store.putStream('s', body, { signal: AbortSignal.abort(reason) }),
    (error) => error === reason,
  )
  assert.equal(dev.server.requests.all().length, 0)
  assert.ok(body.destroyed)
})

test('a part that is refused ends the stream: the rest is not read, the upload not left open', async (t) => {
  const { store, faults } = await bucket(t)
  faults.add({
    match: { operation: 'UploadPart', first: 1 },
    do: { kind: 'status', status: 403, code: 'AccessDenied' },
  })
  const endless = stream(1000)
  await assert.rejects(store.putStream('s', endless.body), { code: 'ACCESS_DENIED', path: 's3://test/s' })
  assert.ok(endless.taken < 200, `${endless.taken} MiB`)
  assert.deepEqual(await openUploads(store), [])
})

test('what broke is told, not that its upload could not be taken back', async (t) => {
  const { store, faults } = await bucket(t)
  for (const operation of ['UploadPart', 'AbortMultipartUpload'] as const) {
    const code = operation === 'UploadPart' ? 'AccessDenied' : 'NotImplemented'
    faults.add({
      match: { operation },
      do: { kind: 'status', status: operation === 'UploadPart' ? 403 : 501, code },
    })
  }
  await assert.rejects(store.putStream('s', stream(17).body), { code: 'ACCESS_DENIED' })
})
