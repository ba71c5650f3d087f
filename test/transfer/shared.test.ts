import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LongshoreError } from '../../src/errors.ts'
import {
  literalsOf,
  packResults,
  packTransfers,
  unpackResults,
  unpackTransfers,
} from '../../src/transfer/packed.ts'
import { divide, openShared, viewShared } from '../../src/transfer/shared.ts'
import type { Transfer, TransferResult } from '../../src/transfer/types.ts'

const size = fc.integer({ min: 0, max: 2 ** 50 })
// Half of a surrogate pair too: a key is whatever a server says.
const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\ud83d', '\ude00', '', 'ü/+'))
const literal = fc.uint8Array({ maxLength: 50 })
const piece = fc.oneof(
  fc.record(
    {
      ...{ kind: fc.constant('object' as const), at: size, length: size, store: text, key: text },
      ...{ offset: size, size, etag: text, versionId: fc.option(text, { nil: undefined }) },
    },
    { noNullPrototype: true },
  ),
  fc.record(
    { kind: fc.constant('file' as const), at: size, length: size, path: text, offset: size },
    { noNullPrototype: true },
  ),
  fc.tuple(size, literal).map(([at, bytes]) => ({ kind: 'bytes' as const, at, length: bytes.length, bytes })),
)
const place = fc.oneof(
  fc.record(
    {
      ...{ kind: fc.constant('part' as const), store: text, key: text, uploadId: text },
      ...{ partNumber: fc.integer({ min: 1, max: 10_000 }), offset: size },
    },
    { noNullPrototype: true },
  ),
  fc.record({ kind: fc.constant('file' as const), path: text, offset: size }, { noNullPrototype: true }),
  fc.record(
    {
      ...{ kind: fc.constant('whole' as const), path: text },
      temp: fc.option(text, { nil: undefined }),
      ...{ mode: fc.integer({ min: 0, max: 0o777 }), durable: fc.boolean() },
    },
    { noNullPrototype: true },
  ),
  fc.constant({ kind: 'memory' as const }),
)
const crc = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const transfer = fc.record(
  {
    ...{ id: fc.nat(), length: size, pieces: fc.array(piece, { maxLength: 6 }), to: place },
    expectCrcs: fc.option(fc.array(crc, { maxLength: 3 }), { nil: undefined }),
    sumFrom: fc.option(fc.nat(), { nil: undefined }).filter((from) => from !== 0),
  },
  { noNullPrototype: true },
)

test('transfers arrive as they were sent, whatever is in them', () => {
  fc.assert(
    fc.property(fc.array(transfer, { maxLength: 5 }), fc.boolean(), (some: Transfer[], stream) => {
      const transfers = stream ? some.map((one): Transfer => ({ ...one, stream: true })) : some
      const work = transfers.map((one, i) => ({ ticket: one.id, scope: { id: i }, transfer: one }))
      const sent = structuredClone(packTransfers(work))
      const expected = transfers.map((one, i) => ({ scope: i, transfer: one }))
      assert.deepEqual(unpackTransfers(sent), expected)
    }),
    { numRuns: 200 },
  )
})

test('transfers arrive as they were sent in memory that is too large and full of something else', () => {
  fc.assert(
    fc.property(fc.array(transfer, { maxLength: 5 }), (transfers: Transfer[]) => {
      const work = transfers.map((one, i) => ({ ticket: one.id, scope: { id: i }, transfer: one }))
      const used = (bytes: number) => new Uint8Array(bytes + 100).fill(0xee).buffer
      const packed = packTransfers(work, used)
      const memory = packed.literals.map(({ buffer }) => buffer as ArrayBuffer)
      const received = unpackTransfers(structuredClone(packed, { transfer: memory }))
      assert.deepEqual(
        received,
        transfers.map((one, i) => ({ scope: i, transfer: one })),
      )
      // Of each transfer its own: one goes back while another is being read.
      const back = received.flatMap(({ transfer: one }) => literalsOf(one) ?? [])
      assert.equal(new Set(back).size, memory.length)
    }),
    { numRuns: 100 },
  )
})

test('results arrive as they were sent, failures with code, path, hint, cause and piece', () => {
  const fine: TransferResult = {
    ...{
      id: 1,
      ok: true,
      bytes: 20_000_000,
      blockCrcs: [1, 2, 2 ** 32 - 1],
      crc32: 9,
      checks: { size: 3, crc32: 1 },
    },
    ...{ etag: '"e"', body: undefined },
  }
  const small: TransferResult = {
    ...{ id: 2, ok: true, bytes: 3, blockCrcs: [7], crc32: 7, checks: {}, etag: undefined },
    body: Buffer.from('abc'),
  }
  const empty: TransferResult = {
    ...{ id: 3, ok: true, bytes: 0, blockCrcs: [], crc32: 0, checks: { size: 1 } },
    ...{ etag: undefined, body: undefined },
  }
  const details = { path: 's3://b/k', hint: 'mend it', cause: new Error('why') }
  const error = new LongshoreError('SOURCE_CHANGED', 'it changed', details)
  const failed: TransferResult = { id: 4, ok: false, error, piece: 7 }
  const part: TransferResult = { ...fine, id: 5, part: { at: 2 ** 45 } }
  const sent = structuredClone(packResults([fine, small, empty, failed, part]))
  const [a, b, c, d, e] = unpackResults(sent)
  assert.deepEqual(a, fine)
  assert.deepEqual(e, part)
  assert.ok(b?.ok && Buffer.from('abc').equals(b.body ?? Buffer.alloc(0)))
  assert.deepEqual(c, empty)
  assert.ok(d && !d.ok && d.error instanceof LongshoreError)
  const { code, message, path, hint, cause } = d.error
  assert.deepEqual(
    [code, message, path, hint, cause instanceof Error && cause.message, d.piece],
    ['SOURCE_CHANGED', 'it changed', 's3://b/k', 'mend it', 'why', 7],
  )
})

test('the limit is divided by need: never more than it in all, nobody idle holds any, nothing is left unused', () => {
  assert.deepEqual(divide(32, [0, 100, 100]), [0, 16, 16])
  assert.deepEqual(divide(32, [2, 0, 100]), [2, 0, 30])
  assert.deepEqual(divide(3, [0, 0, 0]), [0, 0, 0])
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 300 }),
      fc.array(fc.nat({ max: 400 }), { minLength: 1 }),
      (limit, needs) => {
        const shares = divide(limit, needs, 3)
        const sum = shares.reduce((a, b) => a + b, 0)
        const wanted = needs.reduce((a, b) => a + b, 0)
        assert.equal(sum, Math.min(limit, wanted))
        assert.ok(shares.every((share, i) => share <= (needs[i] ?? 0)))
      },
    ),
  )
})

test('when there are fewer slots than members, all of them get their turn', () => {
  const seen = new Set<number>()
  for (let turn = 0; turn < 5; turn++) {
    for (const [i, share] of divide(2, [9, 9, 9, 9, 9], turn).entries()) if (share > 0) seen.add(i)
  }
  assert.equal(seen.size, 5)
})

test('all views of the shared memory count against one limit, and what a dead thread held is free again', () => {
  const shared = openShared(3)
  const other = viewShared(shared.memory)
  shared.limit = 3
  const [a, b] = [shared.member(1), other.member(2)]
  assert.deepEqual(
    [shared.enter(a), other.enter(b), other.enter(b), shared.enter(a)],
    [true, true, true, false],
  )
  other.leave(b)
  assert.equal(shared.enter(a), true)
  shared.bury(a)
  assert.deepEqual([other.enter(b), other.enter(b), other.enter(b)], [true, true, false])
  assert.deepEqual([a.active, b.active], [0, 3])
})

test('a thread says which transfer its disk operation is of, ticket 0 included', () => {
  const shared = openShared(2)
  const member = shared.member(1)
  assert.equal(member.disk, undefined)
  for (const ticket of [0, 5, undefined]) {
    member.disk = ticket
    assert.equal(viewShared(shared.memory).member(1).disk, ticket)
  }
})
