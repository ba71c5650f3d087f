import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { runChild } from '../../src/commands/child.ts'

const env = process.env

test("the status is the command's own", async () => {
  assert.deepEqual(await runChild(['sh', '-c', 'exit 7'], { env }), { status: 7 })
  assert.deepEqual(await runChild(['true'], { env }), { status: 0 })
})

test('a command that a signal ended has status 128 + n', async () => {
  assert.deepEqual(await runChild(['sh', '-c', 'kill -KILL $$'], { env }), { status: 137 })
})

test('a command that does not exist has status 127, one that is no program 126, and both say why', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'child-'))
  t.after(() => rm(dir, { recursive: true }))
  await writeFile(join(dir, 'plain'), 'text', { mode: 0o644 })
  const missing = await runChild([join(dir, 'missing')], { env })
  assert.equal(missing.status, 127)
  assert.match(missing.problem ?? '', /missing.*command not found/)
  const plain = await runChild([join(dir, 'plain')], { env })
  assert.equal(plain.status, 126)
  assert.match(plain.problem ?? '', /permission denied/)
  assert.equal((await runChild([''], { env })).status, 126)
})

test('the command sees the environment it is given', async () => {
  const given = { PATH: env.PATH, WANTED: 'yes', ABSENT: undefined }
  assert.equal((await runChild(['sh', '-c', '[ "$WANTED" = yes ]'], { env: given })).status, 0)
})

test('an abort ends the command with SIGTERM, and what was aborted before is not started', async () => {
  const controller = new AbortController()
  const run = runChild(['sleep', '60'], {
    env,
    signal: controller.signal,
    onSpawn: () => controller.abort(new Error('stop')),
  })
  assert.equal((await run).status, 143)
  await assert.rejects(runChild(['true'], { env, signal: controller.signal }), /stop/)
})

test('every signal that is meant for the job reaches the command once, and this process lives on', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'child-'))
  t.after(() => rm(dir, { recursive: true }))
  const child = join(dir, 'child.mjs')
  await writeFile(
    child,
    `const seen = []
     for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'])
       process.on(name, () => { seen.push(name); process.stdout.write('got ' + name + '\\n'); if (seen.length === 5) { process.stdout.write(seen.join() + '\\n'); process.exit(9) } })
     setInterval(() => {}, 1000); process.stdout.write('ready\\n')`,
  )
  const parent = join(dir, 'parent.mjs')
  const url = new URL('../../src/commands/child.ts', import.meta.url).href
  await writeFile(
    parent,
    `import { runChild } from ${JSON.stringify(url)}
     const { status } = await runChild([process.execPath, ${JSON.stringify(child)}], { env: process.env })
     process.stdout.write('status ' + status + '\\n')`,
  )
  const started = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), parent], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let out = ''
  let wanted = 'ready'
  const names = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const
  let next = 0
  started.stdout.on('data', (data: Buffer) => {
    out += data
    if (!out.includes(wanted)) return
    const name = names[next++]
    if (name === undefined) return
    wanted = `got ${name}`
    started.kill(name)
  })
  const [code] = await once(started, 'close')
  assert.equal(code, 0)
  assert.match(out, /SIGTERM,SIGINT,SIGHUP,SIGUSR1,SIGUSR2\nstatus 9\n$/)
})
