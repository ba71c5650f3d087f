import assert from 'node:assert/strict'
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createLineFile, readLineFile } from '../../src/pack/local-lines.ts'
import { type Cleanup, tempDir } from '../support/tmp.ts'

async function written(t: Cleanup) {
  const path = join(tempDir(t), 'lines')
  const file = await createLineFile(path)
  // More than a batch of writing, and more than one of reading.
  for (let i = 0; i < 150_000; i++) await file.write(`line ${i}: ü\n`)
  return { path, about: await file.finish() }
}

async function read(path: string, about: { size: number; crc32: string }): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of readLineFile(path, about)) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

test('lines come back as they were written', async (t) => {
  const { path, about } = await written(t)
  const bytes = await read(path, about)
  assert.ok(bytes.length > 2 ** 20)
  assert.equal(bytes.length, about.size)
  assert.match(bytes.toString(), /^line 0: ü\nline 1: ü\n(?:.*\n)*line 149999: ü\n$/)
})

test('a disk that gives back something else, more, or nothing is told', async (t) => {
  const { path, about } = await written(t)
  const bytes = readFileSync(path)
  bytes.writeUInt8(bytes.readUInt8(1000) ^ 1, 1000)
  writeFileSync(path, bytes)
  await assert.rejects(read(path, about), { code: 'INTEGRITY', path })
  bytes.writeUInt8(bytes.readUInt8(1000) ^ 1, 1000)
  writeFileSync(path, bytes)
  await read(path, about)
  appendFileSync(path, 'x\n')
  await assert.rejects(read(path, about), { code: 'INTEGRITY' })
  rmSync(path)
  await assert.rejects(read(path, about), { code: 'LOCAL_IO' })
})
