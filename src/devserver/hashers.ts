import { createHash } from 'node:crypto'
import { crc32 } from '../checksum/crc32.ts'
import { crc32c } from '../checksum/crc32c.ts'
import { crc64nvme } from '../checksum/crc64nvme.ts'

export const ALGORITHMS = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const
export type Algorithm = (typeof ALGORITHMS)[number]

export interface Hasher {
  update(bytes: Uint8Array): void
  digest(): Buffer
}

/** A running checksum as the x-amz-checksum-* headers carry it (CRCs big-endian, base64 is the caller's). */
export function openHasher(algorithm: Algorithm): Hasher {
  if (algorithm === 'SHA1' || algorithm === 'SHA256') {
    const hash = createHash(algorithm)
    return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest() }
  }
  if (algorithm === 'CRC64NVME') {
    let crc = 0n
    return {
      update(bytes) {
        crc = crc64nvme(bytes, crc)
      },
      digest() {
        const out = Buffer.alloc(8)
        out.writeBigUInt64BE(crc)
        return out
      },
    }
  }
  const step = algorithm === 'CRC32' ? crc32 : crc32c
  let crc = 0
  return {
    update(bytes) {
      crc = step(bytes, crc)
    },
    digest() {
      const out = Buffer.alloc(4)
      out.writeUInt32BE(crc >>> 0)
      return out
    },
  }
}

export function isAlgorithm(text: string | undefined): text is Algorithm {
  return (ALGORITHMS as readonly (string | undefined)[]).includes(text)
}
