// Writes src/checksum/crc64-module.ts: the WebAssembly of CRC-64/NVME, put together from the instructions below.
//   npx tsx scripts/crc64-module.ts
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

type Code = number[]

/** 256 sums of 8 bytes. */
const TABLE_BYTES = 2048
/** The reflected polynomial 0x9a6c9329ac4bc9b5 in signed LEB128, as i64.const takes it. */
const POLY = [0xb5, 0x93, 0xaf, 0xe2, 0x9a, 0xe5, 0xa4, 0xb6, 0x9a, 0x7f]
// Parameters and locals of each function: two addresses, two sums.
const [P, STOP, A, B] = [0, 1, 2, 3] as const
const [I32, I64] = [0x7f, 0x7e] as const
// Opcodes: WebAssembly core specification, 5.4.
const op = {
  loop: 0x03,
  if: 0x04,
  end: 0x0b,
  br: 0x0c,
  get: 0x20,
  set: 0x21,
  i64Load: 0x29,
  i64Load8U: 0x31,
  i64Store: 0x37,
  i32Const: 0x41,
  i64Const: 0x42,
  i32GeU: 0x4f,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32And: 0x71,
  i32Shl: 0x74,
  i64Sub: 0x7d,
  i64And: 0x83,
  i64Xor: 0x85,
  i64ShrU: 0x88,
  i32WrapI64: 0xa7,
  i64ExtendI32U: 0xad,
  empty: 0x40,
}

/**
 * The module. Its memory's first page is for the tables, its second for the input:
 *   first(0, 2048, 0)     fills table 0: what each byte adds to the sum
 *   further(0, 30720, 0)  fills tables 1 … 15: the same when 1 … 15 more bytes follow
 *   crc(p, stop, seed)    the CRC-64 of the bytes from p to stop, continued from seed
 */
export function crc64Module(): Uint8Array<ArrayBuffer> {
  const bodies = [first(), further(), crc()].map((body) => {
    const code = [1, 1, I64, ...body.flat(), ...get(A), op.end]
    return [...leb(code.length), ...code]
  })
  const names = [exported('first', 0), exported('further', 1), exported('crc', 2), exported('memory', 0, 2)]
  return new Uint8Array([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 3, I32, I32, I64, 1, I64]),
    ...section(3, [3, 0, 0, 0]),
    ...section(5, [1, 1, 2, 2]),
    ...section(7, [4, ...names.flat()]),
    ...section(10, [3, ...bodies.flat()]),
  ])
}

function first(): Code[] {
  const odd = [...get(A), op.i64Const, 1, op.i64And]
  const minusOdd = [op.i64Const, 0, ...odd, op.i64Sub]
  const step = set(A, xor(shiftRight(get(A), 1), [...minusOdd, op.i64Const, ...POLY, op.i64And]))
  const steps = new Array<Code>(8).fill(step)
  return [
    whileLeft(8, [set(A, shiftRight([...get(P), op.i64ExtendI32U], 3)), ...steps, storeAt(0), advance(8)]),
  ]
}

function further(): Code[] {
  const longer = xor(shiftRight(get(A), 8), look(get(A), 0, 0))
  return [whileLeft(8, [set(A, wordAt(0)), set(A, longer), storeAt(TABLE_BYTES), advance(8)])]
}

/**
 * Two sums run side by side, each over every other word of 8 bytes, so that neither waits for the other's look-ups:
 * tables 8 … 15 carry them over the 16 bytes to their next words, tables 0 … 7 join them at the end.
 */
function crc(): Code[] {
  return [
    set(A, not(get(A))),
    whileLeft(32, [
      set(A, xor(get(A), wordAt(0))),
      set(B, xor(get(B), wordAt(8))),
      set(A, carried(A, 8)),
      set(B, carried(B, 8)),
      advance(16),
    ]),
    ifLeft(16, [
      set(A, xor(get(A), wordAt(0))),
      set(A, xor(carried(A, 0), xor(get(B), wordAt(8)))),
      set(A, carried(A, 0)),
      advance(16),
    ]),
    ifLeft(8, [set(A, xor(get(A), wordAt(0))), set(A, carried(A, 0)), advance(8)]),
    whileLeft(1, [set(A, xor(shiftRight(get(A), 8), look(xor(get(A), byteAt(0)), 0, 0))), advance(1)]),
    set(A, not(get(A))),
  ]
}

/** Each byte of the word in `local`, looked up in one of the 8 tables from `first` on. */
function carried(local: number, first: number): Code {
  return [0, 1, 2, 3, 4, 5, 6, 7].map((k) => look(get(local), k, first + 7 - k)).reduce(xor)
}

/** What table `t` holds for byte `k` of `word`: the byte, times 8, is the place in the table. */
function look(word: Code, k: number, t: number): Code {
  const place =
    k === 0
      ? [...word, op.i32WrapI64, ...i32(255), op.i32And, ...i32(3), op.i32Shl]
      : [...shiftRight(word, 8 * k - 3), op.i32WrapI64, ...i32(255 * 8), op.i32And]
  return [...place, op.i64Load, 3, ...leb(t * TABLE_BYTES)]
}

function whileLeft(bytes: number, body: Code[]): Code {
  return [op.loop, op.empty, ...ifLeft(bytes, [...body, [op.br, 1]]), op.end]
}

function ifLeft(bytes: number, body: Code[]): Code {
  return [
    ...get(STOP),
    ...get(P),
    op.i32Sub,
    ...i32(bytes),
    op.i32GeU,
    op.if,
    op.empty,
    ...body.flat(),
    op.end,
  ]
}

function advance(bytes: number): Code {
  return set(P, [...get(P), ...i32(bytes), op.i32Add])
}

function wordAt(offset: number): Code {
  return [...get(P), op.i64Load, 0, ...leb(offset)]
}

function byteAt(offset: number): Code {
  return [...get(P), op.i64Load8U, 0, ...leb(offset)]
}

function storeAt(offset: number): Code {
  return [...get(P), ...get(A), op.i64Store, 0, ...leb(offset)]
}

function get(local: number): Code {
  return [op.get, local]
}

function set(local: number, value: Code): Code {
  return [...value, op.set, local]
}

function xor(a: Code, b: Code): Code {
  return [...a, ...b, op.i64Xor]
}

function not(a: Code): Code {
  return xor(a, [op.i64Const, 0x7f])
}

function shiftRight(a: Code, bits: number): Code {
  return [...a, op.i64Const, ...leb(bits), op.i64ShrU]
}

function i32(n: number): Code {
  return [op.i32Const, ...leb(n)]
}

function section(id: number, content: Code): Code {
  return [id, ...leb(content.length), ...content]
}

function exported(name: string, index: number, kind = 0): Code {
  return [name.length, ...Buffer.from(name), kind, index]
}

/** LEB128 that reads the same signed and unsigned: the last byte keeps its sign bit clear. */
function leb(n: number): Code {
  return n < 64 ? [n] : [(n & 127) | 128, ...leb(n >>> 7)]
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const lines =
    Buffer.from(crc64Module())
      .toString('base64')
      .match(/.{1,96}/g) ?? []
  const text = lines.map((line) => `  '${line}',\n`).join('')
  const head = '// Made by `npx tsx scripts/crc64-module.ts`, which is its source and says what it exports.\n'
  writeFileSync(
    new URL('../src/checksum/crc64-module.ts', import.meta.url),
    `${head}/** The WebAssembly of CRC-64/NVME, in base64. */\nexport const CRC64_MODULE = [\n${text}].join('')\n`,
  )
}
