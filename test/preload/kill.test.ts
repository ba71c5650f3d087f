import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { preload } from '../../src/commands/preload.ts'
import { withDevServer } from '../support/devserver.ts'
import { tempDir } from '../support/tmp.ts'
import { contextFor, expectedTree, MIB, noise, packedObjects, preloadOptions, treeOf } from './support.ts'

const CHILD = fileURLToPath(new URL('preload-child.ts', import.meta.url))

test('killed at any moment and run again: nothing half under a final name, done ranges are kept, the same bytes', async (t) => {
  const dev = await withDevServer(t, { undisturbed: 'it counts the bytes sent' })
  const plain: Record<string, Buffer> = { 'raw/large': noise('large', 26 * MIB + 3) }
  for (let i = 0; i < 40; i++) plain[`raw/d${i % 5}/${i}`] = noise(String(i), 1000 * i)
  const packed = packedObjects([25 * MIB, 40])
  dev.seed({ ...plain, ...packed })
  // Slow enough that a kill hits the middle of something.
  dev.server.faults.add({ match: { operation: 'GetObject' }, do: { kind: 'delay', ms: 15 } })
  const cacheDir = tempDir(t)
  const options = preloadOptions([`${dev.root}/raw/`, `${dev.root}/packed/`], cacheDir)
  const argument = JSON.stringify({ options, settings: dev.settings, env: dev.env })
  const expected = { raw: expectedTree(plain, 'raw/'), packed: expectedTree(packed, 'packed/') }

  const kills = [2, 25, 40, 12]
  for (const [round, requests] of kills.entries()) {
    dev.server.requests.clear()
    const child = spawn(process.execPath, ['--import', 'tsx', CHILD, argument], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    t.after(() => child.kill('SIGKILL'))
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
    while (child.exitCode === null && dev.server.requests.count('GetObject') < requests) await sleep(1)
    await sleep((round * 7) % 12)
    child.kill('SIGKILL')
    await ended
    for (const [name, files] of Object.entries(expected)) {
      const root = versionFolder(cacheDir, dev.bucket, name)
      if (!root) continue
      for (const [path, hash] of Object.entries(treeOf(root)))
        assert.equal(files[path], hash, `${name}/${path}`)
    }
  }
  dev.server.requests.clear()
  const report = await preload(options, contextFor(dev))
  for (const [i, name] of (['raw', 'packed'] as const).entries()) {
    assert.deepEqual(treeOf(report.sources[i]?.path ?? ''), expected[name])
  }
  const total = report.sources.reduce((sum, s) => sum + s.bytes, 0)
  const sent = dev.server.requests.all().reduce((sum, r) => sum + r.bytesOut, 0)
  assert.ok(sent < total, `${sent} of ${total} bytes were fetched again`)
  assert.deepEqual(readdirSync(join(cacheDir, '.longshore/staging')), [])
  assert.deepEqual(readdirSync(join(cacheDir, '.longshore/reservations')), [])
})

function versionFolder(cacheDir: string, bucket: string, name: string): string | undefined {
  for (const place of readdirSync(cacheDir)) {
    const folder = join(cacheDir, place, bucket)
    if (place === '.longshore' || !existsSync(folder)) continue
    const version = readdirSync(folder).find((n) => n.startsWith(`${name}@`))
    if (version) return join(folder, version)
  }
  return undefined
}
