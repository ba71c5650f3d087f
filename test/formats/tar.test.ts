import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  TAR_END_BYTES,
  TAR_MAX_MEMBER,
  tarHeader,
  tarHeaderBytes,
  tarMemberBytes,
  tarPadding,
} from '../../src/formats/tar/header.ts'
import { readTar } from '../../src/formats/tar/read.ts'
import { tempDir } from '../support/tmp.ts'

const segment = fc
  .string({
    unit: fc.constantFrom('a', 'Z', '.', ' ', '-', 'ü', '漢', '😀', '=', '%'),
    minLength: 1,
    maxLength: 120,
  })
  .filter((s) => !/^\.{1,2}$/.test(s))
const name = fc.array(segment, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'))
const members = fc.array(fc.record({ name, body: fc.uint8Array({ maxLength: 1500 }) }), { maxLength: 8 })

test('whatever is laid out is read back with the same names, sizes and offsets, in chunks of any size', async () => {
  await fc.assert(
    fc.asyncProperty(members, fc.integer({ min: 1, max: 3000 }), async (input, step) => {
      const shard = tarOf(input)
      const read = []
      for await (const member of readTar(chunksOf(shard, step))) read.push(member)
      assert.deepEqual(
        read.map((m) => ({ name: m.name, body: shard.subarray(m.offset, m.offset + m.size) })),
        input.map((m) => ({ name: m.name, body: Buffer.from(m.body) })),
      )
    }),
    { numRuns: 200 },
  )
})

test('the planned length of a header is its length', () => {
  fc.assert(
    fc.property(name, fc.integer({ min: 0, max: TAR_MAX_MEMBER }), (n, size) => {
      assert.equal(tarHeader(n, size).length, tarHeaderBytes(n))
      assert.equal(tarMemberBytes(n, size) % 512, 0)
    }),
  )
})

test('the bytes of a header never change', () => {
  const names = [
    'a.jpg',
    'ü/漢.jpg',
    'n'.repeat(100),
    'ü'.repeat(50),
    `${'p'.repeat(90)}/${'n'.repeat(80)}`,
    'é'.repeat(99),
  ]
  const digest = createHash('sha256')
  for (const one of names)
    for (const size of [0, 7, 511, 4_294_967_296, TAR_MAX_MEMBER]) digest.update(tarHeader(one, size))
  assert.equal(digest.digest('hex'), '8ab1fe2a8bda17151c0e263476a919981f8e60d7b022211554963baac1426cce')
})

test('GNU tar extracts long, nested and non-ASCII names as they were', (t) => {
  const dir = tempDir(t)
  const input = [
    { name: 'plain.txt', body: Buffer.from('one') },
    { name: `${'d'.repeat(80)}/${'e'.repeat(60)}/file.txt`, body: Buffer.from('by prefix') },
    { name: `${'ü'.repeat(120)}.txt`, body: Buffer.from('by pax') },
    { name: 'empty.cls', body: Buffer.alloc(0) },
  ]
  writeFileSync(join(dir, 'a.tar'), tarOf(input))
  mkdirSync(join(dir, 'out'))
  execFileSync('tar', ['-xf', join(dir, 'a.tar'), '-C', join(dir, 'out')], {
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
  })
  for (const { name: n, body } of input)
    assert.deepEqual(readFileSync(join(dir, 'out', n)), Buffer.from(body), n)
})

test('only a name that ustar cannot cut gets a pax header', () => {
  assert.equal(tarHeaderBytes('a'.repeat(100)), 512)
  assert.equal(tarHeaderBytes(`${'p'.repeat(155)}/${'n'.repeat(100)}`), 512)
  assert.equal(tarHeaderBytes(`${'p'.repeat(156)}/${'n'.repeat(100)}`), 1536)
  assert.equal(tarHeaderBytes('a'.repeat(101)), 1536)
})

test('a flipped bit in a header, a cut and a missing end mark are all named with their byte', async () => {
  const shard = tarOf([{ name: 'a.txt', body: Buffer.alloc(700) }])
  const flipped = Buffer.from(shard)
  flipped[3] = 0xff
  const cases = {
    flipped,
    cut: shard.subarray(0, 900),
    open: shard.subarray(0, shard.length - TAR_END_BYTES),
  }
  for (const [what, bytes] of Object.entries(cases)) {
    const reading = async () => {
      for await (const _ of readTar([bytes]));
    }
    await assert.rejects(reading, { code: 'INTEGRITY', message: /at byte \d+/ }, what)
  }
})

test('a body of 8 GiB is refused: its size has no octal form', () => {
  assert.throws(() => tarHeader('a.bin', TAR_MAX_MEMBER + 1), RangeError)
})

function tarOf(input: readonly { name: string; body: Uint8Array }[]): Buffer {
  const blocks = input.flatMap(({ name: n, body }) => [
    tarHeader(n, body.length),
    body,
    Buffer.alloc(tarPadding(body.length)),
  ])
  return Buffer.concat([...blocks, Buffer.alloc(TAR_END_BYTES)])
}

function* chunksOf(bytes: Buffer, step: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step)
}
