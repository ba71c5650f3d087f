import { CRC64_MODULE } from './crc64-module.ts'

/** Input is copied to the module's second page, page by page. */
const WINDOW = 65536

/** The CRC-64/NVME of `bytes` continued from `seed`. */
export type Crc64 = (bytes: Uint8Array, seed: bigint) => bigint

type Run = (p: number, stop: number, seed: bigint) => bigint

interface Exports {
  first: Run
  further: Run
  crc: Run
  memory: { buffer: ArrayBuffer }
}

interface WebAssemblyApi {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object) => { exports: object }
}

/**
 * Compiles the sum for this thread (1 ms), or undefined where that is not possible: --jitless has no WebAssembly,
 * an embedder may forbid it, and each memory reserves address space that `ulimit -v` may refuse.
 */
export function startCrc64Wasm(): Crc64 | undefined {
  const { WebAssembly: api } = globalThis as { WebAssembly?: WebAssemblyApi }
  if (api === undefined) return undefined
  let exports: Exports
  try {
    exports = new api.Instance(new api.Module(Buffer.from(CRC64_MODULE, 'base64'))).exports as Exports
  } catch {
    return undefined
  }
  const { first, further, crc, memory } = exports
  first(0, 2048, 0n)
  further(0, 15 * 2048, 0n)
  const window = new Uint8Array(memory.buffer, WINDOW, WINDOW)
  return (bytes, seed) => {
    if (bytes.length <= WINDOW) {
      window.set(bytes)
      return BigInt.asUintN(64, crc(WINDOW, WINDOW + bytes.length, seed))
    }
    let sum = seed
    for (let at = 0; at < bytes.length; at += WINDOW) {
      const part = bytes.subarray(at, at + WINDOW)
      window.set(part)
      sum = crc(WINDOW, WINDOW + part.length, sum)
    }
    return BigInt.asUintN(64, sum)
  }
}
