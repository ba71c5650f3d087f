import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32, crcBase64 } from '../../src/checksum/crc32.ts'
import { LongshoreError } from '../../src/errors.ts'
import { openBuffers } from '../../src/transfer/buffers.ts'
import { openCore } from '../../src/transfer/core.ts'
import { startHere } from '../../src/transfer/here.ts'
import { openLanes } from '../../src/transfer/lanes.ts'
import { openLocalIo } from '../../src/transfer/local-io.ts'
import { openPace } from '../../src/transfer/pace.ts'
import { openScope } from '../../src/transfer/scope.ts'
import { openSlots } from '../../src/transfer/slots.ts'
import type { ObjectPiece, Place, Transfer, TransferResult } from '../../src/transfer/types.ts'
import { ok, type RawRequest, rawServer } from '../s3/wire/raw-server.ts'
import { tempDir } from '../support/tmp.ts'

const BODY = 'abc'
const OTHER = 'xyz'
const sumOf = (text: string) => crc32(Buffer.from(text))
const summed = (body: string, of = body) => ok(body, { 'x-amz-checksum-crc32': crcBase64(sumOf(of)) })
const refused = (status: string) => ok('<Error/>', {}, status)
const half = 'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 3\r\n\r\na'

type Answer = Buffer | string | ((request: RawRequest) => void)
const reset = ({ socket }: RawRequest) => void socket.resetAndDestroy()
const never = () => {}

interface Case {
  /** To the first request, the second … and the last one to all that follow. */
  answers: Answer[]
  /** Which kinds of places; default: all. */
  only?: Place['kind'][]
  change?: (transfer: Transfer, dir: string) => Transfer
  limited?: boolean
  /** ms after which the scope is aborted; 0: before the start. */
  abortAfter?: number
  /** Waits behind what fills all slots. */
  waits?: boolean
  sdkFails?: boolean
}

const expecting = (text: string) => (transfer: Transfer) => ({ ...transfer, expectCrcs: [sumOf(text)] })

const CASES: Record<string, Case> = {
  'an answer': { answers: [ok(BODY)] },
  'an answer with its checksum': { answers: [summed(BODY)] },
  'known bytes': { answers: [ok(BODY)], change: expecting(BODY), only: ['whole', 'memory'] },
  'a reset': { answers: [reset, ok(BODY)] },
  'resets without end': { answers: [reset] },
  'an end within the body': { answers: [(r) => void r.socket.end(half), ok(BODY)] },
  'a server that asks to slow down': { answers: [refused('503 Slow Down'), ok(BODY)] },
  'a server that asks to slow down, twice': {
    answers: [refused('503 Slow Down'), refused('503 Slow Down'), ok(BODY)],
  },
  'a broken server': { answers: [refused('500 No')] },
  'a refusal': { answers: [refused('403 Forbidden')] },
  'a refusal for the SDK lane as well': { answers: [refused('404 Not Found')], sdkFails: true },
  'a refusal of the second attempt': { answers: [reset, refused('403 Forbidden')] },
  'another ETag': { answers: [ok(BODY, { ETag: '"f"' })] },
  'an ETag that no head can hold': {
    answers: [ok(BODY)],
    change: (transfer) => ({ ...transfer, pieces: transfer.pieces.map((p) => ({ ...p, etag: 'a\nb' })) }),
  },
  'bytes that fail the checksum': { answers: [summed(OTHER, BODY), summed(BODY)] },
  'bytes that fail the checksum twice': { answers: [summed(OTHER, BODY)] },
  'a checksum of an odd form': { answers: [ok(BODY, { 'x-amz-checksum-sha256': 'odd' })] },
  'bytes that are not the known ones': {
    answers: [ok(OTHER), ok(BODY)],
    change: expecting(BODY),
    only: ['whole', 'memory'],
  },
  'bytes that are never the known ones': {
    answers: [ok(OTHER)],
    change: expecting(BODY),
    only: ['whole', 'memory'],
  },
  'a folder that is not there': {
    answers: [ok(BODY)],
    only: ['whole'],
    change: (transfer, dir) =>
      transfer.to.kind === 'whole'
        ? { ...transfer, to: { ...transfer.to, temp: path.join(dir, 'no/x') } }
        : transfer,
  },
  'a file that needs fsync': {
    answers: [ok(BODY)],
    only: ['whole'],
    change: (transfer) =>
      transfer.to.kind === 'whole' ? { ...transfer, to: { ...transfer.to, durable: true } } : transfer,
  },
  'bytes past the end': {
    answers: [ok(BODY)],
    change: (transfer) => ({ ...transfer, pieces: transfer.pieces.map((p) => ({ ...p, size: 2 })) }),
  },
  'a store that is not there': {
    answers: [ok(BODY)],
    change: (transfer) => ({ ...transfer, pieces: transfer.pieces.map((p) => ({ ...p, store: 'no' })) }),
  },
  'a limit of bytes a second': { answers: [ok(BODY)], limited: true },
  'an abort before it starts': { answers: [ok(BODY)], abortAfter: 0 },
  'an abort while it waits for a slot': { answers: [never], abortAfter: 30, waits: true },
  'an abort before the answer': { answers: [never], abortAfter: 50 },
  'an abort within the body': { answers: [half], abortAfter: 50 },
  'an abort between two attempts': {
    answers: [ok('', { 'Retry-After': 5 }, '503 Slow Down')],
    abortAfter: 100,
  },
}

/** All that anyone can see of a transfer, begun the direct way or by promises from its first line. */
async function observe(t: TestContext, about: Case, kind: Place['kind'] | 'pieces', direct: boolean) {
  const server = await rawServer(t, {
    answer(request) {
      const answer = about.answers[Math.min(request.index, about.answers.length - 1)]
      if (typeof answer === 'function') answer(request)
      else if (answer !== undefined) request.socket.write(answer)
    },
  })
  const dir = tempDir(t)
  const seen = { events: [] as unknown[], disk: [] as unknown[], held: 0, active: 0, work: 0 }
  const event = (...what: unknown[]) => seen.events.push(what)
  const buffers = openBuffers(1 << 20)
  const core = openCore({
    buffers: {
      ...buffers,
      take(length) {
        seen.held++
        return buffers.take(length)
      },
      give(buffer) {
        seen.held--
        buffers.give(buffer)
      },
    },
    slots: openSlots({
      limit: 1,
      enter: () => true,
      leave: () => void seen.active++,
      done(work) {
        seen.work += work
      },
    }),
    pace: openPace(about.limited ? 1e6 : undefined),
    io: openLocalIo({ stuckMs: 5000, sync: true }),
    counters: {
      request: (what) => event('request', what),
      behind() {},
      retry: (reason, slowDown) => event('retry', reason, slowDown),
      bytesIn: (bytes) => event('in', bytes),
      bytesOut: (bytes) => event('out', bytes),
    },
    thread: { disk: (id) => seen.disk.push(id) },
  })
  const wire = server.openWire({ retries: 2 })
  const sdk = async (): Promise<never> => {
    throw new LongshoreError('NOT_FOUND', 's3://b/k: not there', { path: 's3://b/k' })
  }
  const lanes = openLanes({
    url: 's3://b',
    wire: () => wire,
    bypassed: () => event('bypassed'),
    sdk: { getInto: sdk, putPart: sdk, put: sdk },
    after(what, reason, served) {
      event('handed over', what, reason, served)
      return {
        putPart: sdk,
        async getInto(_request, into) {
          if (about.sdkFails) return sdk()
          into.set(Buffer.from(BODY))
          return { etag: '"e"', check: 'size' }
        },
      }
    },
  })
  core.stores.set('s', direct ? lanes : { ...lanes, beginGet: undefined })

  const piece: ObjectPiece = {
    ...{ kind: 'object', at: 0, length: 3, store: 's', key: 'k', offset: 0, size: 3, etag: '"e"' },
  }
  const file = path.join(dir, 'file')
  const to: Place =
    kind === 'whole'
      ? { kind, temp: `${file}.tmp`, path: file, mode: 0o644, durable: false }
      : { kind: 'memory' }
  const pieces =
    kind === 'pieces'
      ? [piece, { kind: 'bytes' as const, at: 3, length: 1, bytes: Buffer.from('!') }]
      : [piece]
  const plain: Transfer = { id: 7, length: pieces.length === 1 ? 3 : 4, pieces, to }
  const changed = about.change?.(plain, dir) ?? plain
  const scope = openScope()
  if (about.waits) core.slots.upload({ left: 1, signal: scope.signal, cancel() {}, begin: never })
  const abort = () => scope.abort(new LongshoreError('INTERRUPTED', 'stopped'))
  if (about.abortAfter === 0) abort()
  let times = 0
  let began = false
  const result = await new Promise<TransferResult>((resolve) => {
    startHere(core, changed, scope, (settled) => {
      assert.ok(began, 'settled before the start had returned')
      times++
      seen.events.push('settled')
      resolve(settled)
    })
    began = true
    if (about.abortAfter) setTimeout(abort, about.abortAfter)
  })
  await sleep(20)
  const { ok: good, error, body, ...rest } = { error: undefined, body: undefined, ...result }
  return {
    ...{ ...rest, good, times, ...seen, idle: core.slots.active, requests: server.requests.length },
    error: error && [error.code, error.message.replaceAll(dir, ''), error.path?.replace(dir, ''), error.hint],
    bytes: good && (kind === 'whole' ? readFileSync(file) : Buffer.from(body ?? [])).toString('latin1'),
  }
}

for (const [what, about] of Object.entries(CASES)) {
  test(`begun without a promise or with many, a transfer comes to the same: ${what}`, async (t) => {
    // No backoff in this test is worth waiting for in full.
    t.mock.method(Math, 'random', () => 0)
    for (const kind of ['whole', 'memory', 'pieces'] as const) {
      if (about.only !== undefined && !about.only.some((one) => one === kind)) continue
      const [direct, before] = await Promise.all([
        observe(t, about, kind, true),
        observe(t, about, kind, false),
      ])
      assert.deepEqual(direct, before, kind)
      assert.equal(direct.times, 1)
      assert.equal(direct.held, 0)
      assert.equal(direct.idle, about.waits ? 1 : 0)
    }
  })
}

test('a request is counted once, and one that was answered 503 is one retry that slows down', async (t) => {
  const once = await observe(t, { answers: [ok(BODY)] }, 'whole', true)
  assert.deepEqual(once.events, [['request', 'GET'], ['in', 3], 'settled'])
  assert.deepEqual(once.disk, [7, undefined])
  assert.equal(once.bytes, BODY)
  const slow = await observe(t, { answers: [refused('503 Slow Down'), ok(BODY)] }, 'whole', true)
  const kinds = slow.events.map((event) => (Array.isArray(event) ? `${event[0]} ${event.at(-1)}` : event))
  assert.deepEqual(kinds, ['request GET', 'retry true', 'request GET', 'in 3', 'settled'])
})
