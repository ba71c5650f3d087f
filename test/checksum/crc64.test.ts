import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { crc64Module } from '../../scripts/crc64-module.ts'
import { CRC64_MODULE } from '../../src/checksum/crc64-module.ts'
import { crc64Sliced } from '../../src/checksum/crc64-sliced.ts'
import { type Crc64, startCrc64Wasm } from '../../src/checksum/crc64-wasm.ts'
import { crc64Base64, crc64nvme } from '../../src/checksum/crc64nvme.ts'

const CHECK = Buffer.from('123456789')
const MODULE = JSON.stringify(new URL('../../src/checksum/crc64nvme.ts', import.meta.url).href)
const TSX = import.meta.resolve('tsx')
const MAX = 0xffffffffffffffffn

function wasm(): Crc64 {
  const sum = startCrc64Wasm()
  assert.ok(sum !== undefined, 'WebAssembly runs here')
  return sum
}

/** The definition: the polynomial's division, bit by bit. */
function divided(bytes: Uint8Array, seed: bigint): bigint {
  let c = seed ^ MAX
  for (const byte of bytes) {
    c ^= BigInt(byte)
    for (let k = 0; k < 8; k++) c = c & 1n ? (c >> 1n) ^ 0x9a6c9329ac4bc9b5n : c >> 1n
  }
  return c ^ MAX
}

test('both CRC-64s, WebAssembly and JavaScript, give the published values', () => {
  // The check value of the CRC catalogue, and the test cases of the NVM Command Set specification: 4 KiB each.
  const vectors: [Uint8Array, bigint][] = [
    [CHECK, 0xae8b14860a799888n],
    [new Uint8Array(4096), 0x6482d367eb22b64en],
    [new Uint8Array(4096).fill(0xff), 0xc0ddba7302eca3acn],
    [Uint8Array.from({ length: 4096 }, (_, i) => i & 255), 0x3e729f5f6750449cn],
    [Uint8Array.from({ length: 4096 }, (_, i) => 255 - (i & 255)), 0x9a2df64b8e9e517en],
  ]
  for (const [bytes, sum] of vectors) {
    assert.equal(wasm()(bytes, 0n), sum)
    assert.equal(crc64Sliced(bytes, 0n), sum)
  }
})

test('the WebAssembly in the source tree is what its script makes', () => {
  assert.ok(Buffer.from(crc64Module()).equals(Buffer.from(CRC64_MODULE, 'base64')))
})

test('both CRC-64s agree with the bitwise division over every length of three turns, from any seed', () => {
  const sum = wasm()
  const bytes = randomBytes(100)
  for (let length = 0; length <= bytes.length; length++) {
    for (const seed of [0n, 1n, MAX, 0x8000000000000000n, 0xae8b14860a799888n]) {
      const part = bytes.subarray(0, length)
      const expected = divided(part, seed)
      assert.equal(sum(part, seed), expected)
      assert.equal(crc64Sliced(part, seed), expected)
    }
  }
})

test('the CRC-64 in WebAssembly equals the one in JavaScript at any length, offset, seed and cut', () => {
  const sum = wasm()
  const place = fc.record({
    length: fc.integer({ min: 0, max: 5000 }),
    offset: fc.integer({ min: 0, max: 70 }),
    cut: fc.integer({ min: 0, max: 5000 }),
    seed: fc.bigInt({ min: 0n, max: MAX }),
  })
  const pool = randomBytes(5070)
  fc.assert(
    fc.property(place, ({ length, offset, cut, seed }) => {
      const bytes = pool.subarray(offset, offset + length)
      const expected = crc64Sliced(bytes, seed)
      assert.equal(sum(bytes, seed), expected)
      assert.equal(sum(bytes.subarray(cut), sum(bytes.subarray(0, cut), seed)), expected)
    }),
    { numRuns: 2000 },
  )
})

test('the CRC-64 of inputs larger than its window is that of the whole', () => {
  const sum = wasm()
  const bytes = randomBytes((8 << 20) + 9)
  for (const length of [65535, 65536, 65537, 131071, 131072, 131080, 1_000_003, bytes.length]) {
    const part = bytes.subarray(bytes.length - length)
    assert.equal(sum(part, 5n), crc64Sliced(part, 5n), `${length} bytes`)
  }
})

test('a small input after a large one is not mixed with what the window still holds', () => {
  const sum = wasm()
  sum(randomBytes(70_000), 0n)
  assert.equal(sum(CHECK, 0n), 0xae8b14860a799888n)
  assert.equal(sum(new Uint8Array(0), 7n), 7n)
})

test('the CRC-64 takes bytes of shared memory', () => {
  const shared = new Uint8Array(new SharedArrayBuffer(CHECK.length))
  shared.set(CHECK)
  assert.equal(crc64nvme(shared), 0xae8b14860a799888n)
})

test('each thread has a CRC-64 of its own', async () => {
  const bytes = randomBytes(100_000)
  const source = `import { parentPort, workerData } from 'node:worker_threads'
    import { register } from ${JSON.stringify(import.meta.resolve('tsx/esm/api'))}
    register()
    const { crc64Base64, crc64nvme } = await import(${MODULE})
    parentPort.postMessage(crc64Base64(crc64nvme(workerData)))`
  const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`)
  const workers = [1, 2].map(() => new Worker(url, { workerData: bytes }))
  const sums = workers.map(
    (w) => new Promise<string>((resolve, reject) => w.once('message', resolve).once('error', reject)),
  )
  const expected = crc64Base64(crc64Sliced(bytes, 0n))
  assert.deepEqual(await Promise.all(sums), [expected, expected])
})

test('without WebAssembly the CRC-64 is taken in JavaScript', () => {
  const script = `import { crc64nvme } from ${MODULE}
    console.log(typeof WebAssembly, crc64nvme(Buffer.from('123456789')).toString(16))`
  const out = execFileSync(
    process.execPath,
    ['--jitless', '--no-warnings', '--import', TSX, '--input-type=module', '-e', script],
    { encoding: 'utf8', timeout: 60_000 },
  )
  assert.equal(out.trim(), 'undefined ae8b14860a799888')
})
