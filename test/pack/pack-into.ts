import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { crc32, crcHex } from '../../src/checksum/crc32.ts'
import type { CommandContext } from '../../src/commands/context.ts'
import { type PackOptions, type PackReport, pack } from '../../src/commands/pack.ts'
import { readSampleIndex } from '../../src/formats/sample-index.ts'
import { readTar } from '../../src/formats/tar/read.ts'
import { type DatasetManifest, parseManifest } from '../../src/manifest/dataset.ts'
import { SILENT } from '../../src/progress.ts'
import { S3_DEFAULTS, type S3Settings } from '../../src/s3/settings.ts'
import type { TestServer } from '../support/devserver.ts'
import { LANE } from '../support/lanes.ts'
import { type Cleanup, tempDir } from '../support/tmp.ts'
import { PACK_DEFAULTS } from './plan-of.ts'

export type Objects = Map<string, Buffer>

/** Bytes that depend on the seed only, and hold no pattern that a shifted offset would hide. */
export function noise(size: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(size)
  let x = (seed * 2654435761 + 1) >>> 0
  for (let i = 0; i < size; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    bytes[i] = x
  }
  return bytes
}

export function sampleObjects(count: number, size: number): Objects {
  const objects: Objects = new Map()
  for (let i = 0; i < count; i++) {
    objects.set(`c${i % 3}/bild ${i}/ü.jpg`, noise(size + (i % 700), i))
    objects.set(`c${i % 3}/bild ${i}/ü.cls`, Buffer.from(String(i)))
  }
  objects.set(`deep/${'d'.repeat(90)}/${'e'.repeat(90)}.json`, Buffer.from('{}'))
  objects.set('empty.txt', Buffer.alloc(0))
  return objects
}

export function writeTree(dir: string, objects: Objects): string {
  for (const [key, body] of objects) {
    mkdirSync(dirname(join(dir, key)), { recursive: true })
    writeFileSync(join(dir, key), body)
  }
  return dir
}

/** Every file below a folder, but longshore's own state. */
export function readTree(dir: string): Objects {
  const found: Objects = new Map()
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const key = path.slice(dir.length + 1)
    if (entry.isFile() && !key.startsWith('.longshore/')) found.set(key, readFileSync(path))
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)))
}

export function readBucket({ server, bucket }: TestServer, prefix: string): Objects {
  const keys = server.objects.keys(bucket, prefix).filter((key) => !key.startsWith(`${prefix}.longshore/`))
  return new Map(
    keys.map((key) => [key.slice(prefix.length), server.objects.get(bucket, key) ?? Buffer.alloc(0)]),
  )
}

export interface PackInto extends Partial<PackOptions> {
  source: string
  destination: string
}

interface About {
  server?: TestServer
  context?: Partial<CommandContext>
  settings?: Partial<S3Settings>
}

/** pack() in this process, with its temporary files in a folder that goes with the test. */
export function packInto(t: Cleanup, options: PackInto, about: About = {}): Promise<PackReport> {
  return pack({ ...PACK_DEFAULTS, ...options }, packContext(t, about))
}

export function packContext(t: Cleanup, { server, context, settings }: About = {}): CommandContext {
  return {
    signal: new AbortController().signal,
    progress: SILENT,
    s3: { ...(server?.settings ?? S3_DEFAULTS), ...settings },
    engine: { lane: LANE, concurrency: 16, memory: 64 * 2 ** 20 },
    dryRun: false,
    ...context,
    env: { ...(server?.env ?? {}), TMPDIR: tempDir(t), ...context?.env },
  }
}

/** Reads a packed dataset as strangers would: manifest, then each tar, and checks every index against it. */
export async function unpack(files: Objects): Promise<{ manifest: DatasetManifest; members: Objects }> {
  const manifest = parseManifest(files.get('longshore.json') ?? Buffer.alloc(0), 'longshore.json')
  const members: Objects = new Map()
  for (const shard of manifest.shards) {
    const bytes = files.get(shard.name) ?? Buffer.alloc(0)
    assert.equal(bytes.length, shard.size)
    assert.equal(crcHex(crc32(bytes)), shard.crc32)
    const indexBytes = files.get(shard.index.name) ?? Buffer.alloc(0)
    assert.deepEqual([indexBytes.length, crcHex(crc32(indexBytes))], [shard.index.size, shard.index.crc32])
    const { header, samples } = await readSampleIndex([indexBytes])
    assert.deepEqual([header.crc32, header.size], [shard.crc32, shard.size])
    for (const [i, crc] of header.blocks.entries()) {
      const block = bytes.subarray(i * header.blockSize, (i + 1) * header.blockSize)
      assert.equal(crcHex(crc32(block)), crc)
    }
    const indexed = []
    for await (const sample of samples) indexed.push(...sample.members)
    const found = []
    for await (const member of readTar([bytes])) {
      found.push({ name: member.name, offset: member.offset, size: member.size })
      assert.ok(!members.has(member.name), `${member.name} is there once`)
      members.set(member.name, bytes.subarray(member.offset, member.offset + member.size))
    }
    assert.deepEqual(
      indexed.map(({ name, offset, size }) => ({ name, offset, size })),
      found,
    )
  }
  return { manifest, members }
}

export function assertSame(found: Objects, expected: Objects): void {
  assert.deepEqual([...found.keys()].sort(), [...expected.keys()].sort())
  for (const [key, body] of expected) assert.ok(found.get(key)?.equals(body), `${key} has the same bytes`)
}
