import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import type { Agent } from 'node:http'
import https from 'node:https'
import { syncBuiltinESMExports } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import tls from 'node:tls'
import { makeCertificate } from '../../src/devserver/certificate.ts'
import { openAgents } from '../../src/s3/agent.ts'
import { wireHandler } from '../../src/s3/handler.ts'
import { stillHeld } from '../support/forgotten.ts'
import { tempDir } from '../support/tmp.ts'

test('The authorities of a bundle are parsed once, not again for every new connection', async (t) => {
  const { cert, key } = makeCertificate()
  const caBundle = join(tempDir(t), 'ca.pem')
  writeFileSync(caBundle, cert)
  const server = https.createServer({ cert, key }, (_, answer) => answer.end('ok')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const url = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}`)

  const parsing = t.mock.method(tls, 'createSecureContext')
  syncBuiltinESMExports()
  t.after(() => {
    parsing.mock.restore()
    syncBuiltinESMExports()
  })
  const agents = openAgents({ env: {}, caBundle, noVerifySsl: false, timeoutMs: 5000 })
  t.after(() => agents.close())
  let connections = 0
  server.on('secureConnection', () => connections++)
  const { agent } = agents.routeTo(url)
  await Promise.all(Array.from({ length: 3 }, () => get(url, agent)))

  assert.equal(connections, 3)
  assert.equal(parsing.mock.callCount(), 1)
})

test('A server whose certificate is in no bundle is refused', async (t) => {
  const { cert, key } = makeCertificate()
  const caBundle = join(tempDir(t), 'ca.pem')
  writeFileSync(caBundle, makeCertificate().cert)
  const server = https.createServer({ cert, key }, (_, answer) => answer.end('ok')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const url = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}`)

  const agents = openAgents({ env: {}, caBundle, noVerifySsl: false, timeoutMs: 5000 })
  t.after(() => agents.close())
  await assert.rejects(get(url, agents.routeTo(url).agent), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
})

test('A connection that is kept holds nothing of the request that it was made for', async (t) => {
  const { cert, key } = makeCertificate()
  const caBundle = join(tempDir(t), 'ca.pem')
  writeFileSync(caBundle, cert)
  const server = https.createServer({ cert, key }, (_, answer) => answer.end('<ok/>')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  let connections = 0
  server.on('secureConnection', () => connections++)
  const agents = openAgents({ env: {}, caBundle, noVerifySsl: false, timeoutMs: 5000 })
  const handler = wireHandler(agents, { timeoutMs: 5000 })
  t.after(() => handler.destroy())
  const { port } = server.address() as AddressInfo
  const request = { protocol: 'https:', hostname: '127.0.0.1', port, method: 'GET', path: '/', headers: {} }
  const call = async (): Promise<WeakRef<object>> => {
    const page = { bytes: 0 }
    const parse = (body: Buffer): boolean => {
      page.bytes = body.length
      return true
    }
    await handler.handle(request, { sink: { parse } })
    return new WeakRef(page)
  }
  const first = await call()
  // The last answer is the connection's until the next one comes.
  await call()
  assert.equal(await stillHeld([first]), 0)
  assert.equal(connections, 1)
})

async function get(url: URL, agent: Agent): Promise<void> {
  const call = https.get(url, { agent })
  const [answer] = await once(call, 'response')
  answer.resume()
  await once(answer, 'end')
}

test('A bundle is trusted instead of the public authorities; NODE_EXTRA_CA_CERTS beside it', (t) => {
  const dir = tempDir(t)
  const caBundle = join(dir, 'ca.pem')
  const extra = join(dir, 'extra.pem')
  const [named, told] = [makeCertificate().cert, makeCertificate().cert]
  writeFileSync(caBundle, named)
  writeFileSync(extra, told)
  const trustedBy = (options: { env: NodeJS.ProcessEnv; caBundle?: string }) => {
    const agents = openAgents({ noVerifySsl: false, timeoutMs: 5000, ...options })
    t.after(() => agents.close())
    return agents.ca
  }

  assert.deepEqual(trustedBy({ env: {}, caBundle }), [named])
  assert.deepEqual(trustedBy({ env: { NODE_EXTRA_CA_CERTS: extra }, caBundle }), [named, told])
  assert.equal(
    trustedBy({ env: { NODE_EXTRA_CA_CERTS: extra } }),
    undefined,
    "node's own, which has it already",
  )
})
