import { renameSync, writeFileSync } from 'node:fs'
import { threadId } from 'node:worker_threads'
import { crc32 } from 'node:zlib'
import { codeOf } from '../bin/compiled.cjs'

/**
 * What node compiled of a script, with the CRC-32 of both before it (u32le each): V8 checks its header only, and a
 * file with one byte wrong would end each process that starts from it.
 */
export function sealCode(cachedData, script) {
  const sums = Buffer.alloc(8)
  sums.writeUInt32LE(crc32(cachedData), 0)
  sums.writeUInt32LE(crc32(script), 4)
  return Buffer.concat([sums, cachedData])
}

/** Beside the script. */
export function keepCode(filename, { cachedData, bytes }) {
  const to = codeOf(filename)
  writeFileSync(`${to}.${threadId}.tmp`, sealCode(cachedData, bytes))
  renameSync(`${to}.${threadId}.tmp`, to)
}
