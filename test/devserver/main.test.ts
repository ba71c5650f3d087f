import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { makeCertificate } from '../../src/devserver/certificate.ts'
import { openClient } from '../conformance/raw-client.ts'
import { tempDir } from '../support/tmp.ts'

const MAIN = fileURLToPath(new URL('../../src/devserver/main.ts', import.meta.url))

async function launch(t: TestContext, args: string[]) {
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN, '--bucket', 'bucket', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  t.after(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const early = ended.then(([code]) => Promise.reject(new Error(`ended with ${code} before it listened`)))
  const [line] = await Promise.race([once(child.stdout, 'data'), early])
  early.catch(() => undefined)
  const started: { url: string; ca?: string } = JSON.parse(String(line))
  return { child, ended, ...started }
}

test('in a process of its own it is told its faults over HTTP, and ends on SIGTERM', async (t) => {
  const { url, child, ended } = await launch(t, ['--dir', tempDir(t)])
  const raw = openClient({
    endpoint: url,
    bucket: 'bucket',
    region: 'us-east-1',
    accessKeyId: 'longshore',
    secretAccessKey: 'longshore-secret',
  })
  t.after(() => raw.close())
  assert.equal((await raw.send({ method: 'PUT', key: 'a/b', body: 'x' })).status, 200)

  const control = (method: string, path: string, body?: unknown) =>
    fetch(`${url}${path}`, body === undefined ? { method } : { method, body: JSON.stringify(body) })
  const rule = { match: { key: { regexp: '^a/' }, first: 1 }, do: { kind: 'status', status: 503 } }
  assert.equal((await control('POST', '/-/faults', rule)).status, 200)
  assert.equal((await raw.send({ key: 'a/b' })).status, 503)
  assert.equal((await raw.send({ key: 'a/b' })).status, 200)
  assert.equal((await control('POST', '/-/faults', { do: { kind: 'no-such-fault' } })).status, 400)
  const log = (await (await control('GET', '/-/requests')).json()) as { counts: Record<string, number> }
  assert.deepEqual(log.counts, { PutObject: 1, GetObject: 2 })

  child.kill('SIGTERM')
  assert.deepEqual(await ended, [0, null])
})

test('over https it names the file of its authority', async (t) => {
  const { url, ca } = await launch(t, ['--dir', tempDir(t), '--tls'])
  assert.match(url, /^https:/)
  const raw = openClient({
    endpoint: url,
    bucket: 'bucket',
    region: 'us-east-1',
    accessKeyId: 'longshore',
    secretAccessKey: 'longshore-secret',
    ca: readFileSync(ca ?? '', 'utf8'),
  })
  t.after(() => raw.close())
  assert.equal((await raw.send({ query: { 'list-type': '2' } })).status, 200)
})

test('the certificate verifies itself and is good for the loopback names and addresses', () => {
  const { cert, key } = makeCertificate()
  const read = new X509Certificate(cert)
  assert.ok(read.verify(read.publicKey))
  assert.ok(read.ca)
  for (const name of ['localhost', 's3.localhost', 'bucket.s3.localhost'])
    assert.ok(read.checkHost(name), name)
  for (const address of ['127.0.0.1', '::1']) assert.ok(read.checkIP(address), address)
  assert.equal(read.checkHost('example.org'), undefined)
  assert.match(key, /^-----BEGIN PRIVATE KEY-----/)
})
