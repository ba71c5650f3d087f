import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { localStore } from '../../src/s3/local-store.ts'
import { tempDir } from '../support/tmp.ts'
import { assertSame, noise, type Objects, packInto, readTree, writeTree } from './pack-into.ts'

test('killed without warning at any stage and run again: the same bytes, and nothing half or left over', async (t) => {
  const objects: Objects = new Map(Array.from({ length: 60 }, (_, i) => [`s${i}.bin`, noise(600_000 + i, i)]))
  const source = writeTree(tempDir(t), objects)
  const calm = tempDir(t)
  const options = { source, shardSize: 9 * 2 ** 20 }
  await packInto(t, { ...options, destination: calm })
  const expected = readTree(calm)

  const scratch = tempDir(t)
  const context = { env: { TMPDIR: scratch } }
  const here = (name: string) => (dir: string) =>
    existsSync(dir) && readdirSync(dir).some((n) => n.includes(name))
  const stages: Record<string, (destination: string) => boolean> = {
    planning: () => here('sort-')(join(scratch, `longshore-${process.getuid?.()}`, 'scratch')),
    freezing: (dir) => existsSync(join(dir, '.longshore', 'plan')),
    uploading: (dir) => here('')(join(dir, '.longshore', 'uploads')),
    'the first shard': here('.tar'),
  }
  for (const [stage, reached] of Object.entries(stages)) {
    const destination = tempDir(t)
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', join(import.meta.dirname, 'pack-child.ts'), source, destination],
      { env: { ...process.env, TMPDIR: scratch }, stdio: 'ignore' },
    )
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    while (child.exitCode === null && !reached(destination)) await sleep(1)
    child.kill('SIGKILL')
    await ended
    for (const [name, body] of readTree(destination)) {
      assert.ok(expected.get(name)?.equals(body), `${stage}: ${name} is whole or not there`)
    }
    await packInto(t, { ...options, destination }, { context })
    assertSame(readTree(destination), expected)
    for await (const open of localStore(destination).listUploads(''))
      assert.fail(`${stage}: ${open.key} is open`)
    const left = readdirSync(scratch, { recursive: true }).map(String)
    assert.deepEqual(
      left.filter((name) => /sort-|making-/.test(name)),
      [],
      stage,
    )
  }
})
