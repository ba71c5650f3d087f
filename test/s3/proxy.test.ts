import assert from 'node:assert/strict'
import { once } from 'node:events'
import * as http from 'node:http'
import * as net from 'node:net'
import { type TestContext, test } from 'node:test'
import { openStore } from '../../src/s3/open.ts'
import { proxyFor } from '../../src/s3/proxy.ts'
import { withDevServer } from '../support/devserver.ts'

const at = (url: string, env: NodeJS.ProcessEnv) => proxyFor(new URL(url), env)?.href

test('the proxy is chosen by scheme, in either case of the variable', () => {
  const env = { HTTPS_PROXY: 'http://p1:1', http_proxy: 'p2:2' }
  assert.equal(at('https://s3.test/', env), 'http://p1:1/')
  assert.equal(at('http://s3.test/', env), 'http://p2:2/')
  assert.equal(at('https://s3.test/', { ALL_PROXY: 'http://p3:3' }), 'http://p3:3/')
  assert.equal(at('https://s3.test/', {}), undefined)
})

test('NO_PROXY takes names, domains, ports, addresses and networks out; loopback is never proxied', () => {
  const env = (no: string) => ({ HTTPS_PROXY: 'http://p:1', NO_PROXY: no })
  for (const [no, url] of [
    ['*', 'https://a.test'],
    ['test', 'https://a.test'],
    ['.test', 'https://a.test'],
    ['*.test', 'https://a.test'],
    ['x, a.test:8443', 'https://a.test:8443'],
    ['10.0.0.0/8', 'https://10.2.3.4'],
    ['10.2.3.4', 'https://10.2.3.4'],
    ['fd00::/8', 'https://[fd00::1]'],
    ['', 'https://127.0.0.9'],
    ['', 'https://localhost'],
    ['', 'https://[::1]'],
  ] as const) {
    assert.equal(at(url, env(no)), undefined, `${no} ${url}`)
  }
  for (const [no, url] of [
    ['est', 'https://a.test'],
    ['a.test:1', 'https://a.test'],
    ['10.0.0.0/8', 'https://11.2.3.4'],
    ['0.0.0.0/99', 'https://11.2.3.4'],
  ] as const) {
    assert.equal(at(url, env(no)), 'http://p:1/', `${no} ${url}`)
  }
})

test('a proxy that is no URL is a configuration error that does not show its text', () => {
  for (const text of ['socks5://u:secret@p:1', 'http://']) {
    assert.throws(
      () => at('https://a.test', { HTTPS_PROXY: text }),
      (error: Error & { code?: string }) => error.code === 'BAD_CONFIG' && !error.message.includes('secret'),
    )
  }
})

test('an http endpoint is asked by its proxy, with the proxy credentials', async (t) => {
  const dev = await withDevServer(t)
  const proxy = await startProxy(t, dev.server.port)
  const env = { ...dev.env, HTTP_PROXY: `http://us%40er:pw@127.0.0.1:${proxy.port}` }
  const settings = { ...dev.settings, endpointUrl: 'http://s3.example.test:9000' }
  const { store } = await openStore({ kind: 's3', bucket: 'test', prefix: '' }, settings, { env })
  t.after(() => store.close())
  await store.put({ key: 'k', body: Buffer.from('by proxy') })
  assert.equal((await store.getDocument('k', { maxBytes: 99 }))?.bytes.toString(), 'by proxy')
  assert.match(proxy.seen[0] ?? '', /^PUT http:\/\/s3\.example\.test:9000\/test\/k\?/)
  assert.equal(proxy.authorization, `Basic ${Buffer.from('us@er:pw').toString('base64')}`)
})

test('an https endpoint is reached through CONNECT, and its certificate is still checked', async (t) => {
  const dev = await withDevServer(t, { tls: true })
  const proxy = await startProxy(t, dev.server.port)
  const env = { ...dev.env, HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` }
  const settings = { ...dev.settings, endpointUrl: 'https://s3.example.test:9000', noVerifySsl: true }
  const open = async (changed: Partial<typeof settings>) => {
    const { store } = await openStore(
      { kind: 's3', bucket: 'test', prefix: '' },
      { ...settings, ...changed },
      { env },
    )
    t.after(() => store.close())
    return store
  }
  const store = await open({})
  await store.put({ key: 'k', body: Buffer.from('in a tunnel') })
  assert.equal((await store.getDocument('k', { maxBytes: 99 }))?.bytes.toString(), 'in a tunnel')
  assert.equal(proxy.seen[0], 'CONNECT s3.example.test:9000')
  const strict = await open({ noVerifySsl: false })
  await assert.rejects(strict.head('k'), { code: 'TLS_REFUSED' })
})

test('a proxy that refuses is named in the error', async (t) => {
  const dev = await withDevServer(t, { tls: true })
  const refusing = http.createServer()
  refusing.on('connect', (_req, socket) => socket.end('HTTP/1.1 407 Authenticate\r\n\r\n'))
  const port = await listen(t, refusing)
  const env = { ...dev.env, HTTPS_PROXY: `http://127.0.0.1:${port}` }
  const settings = { ...dev.settings, endpointUrl: 'https://s3.example.test', retries: 0 }
  const { store } = await openStore({ kind: 's3', bucket: 'test', prefix: '' }, settings, { env })
  t.after(() => store.close())
  await assert.rejects(store.head('k'), {
    code: 'UNREACHABLE',
    message: `the proxy 127.0.0.1:${port} wants other credentials to CONNECT s3.example.test:443`,
  })
})

/** Forwards everything to one port of this machine, whatever name was asked for. */
async function startProxy(t: TestContext, target: number) {
  const seen: string[] = []
  const state = { port: 0, seen, authorization: undefined as string | undefined }
  const server = http.createServer((req, res) => {
    seen.push(`${req.method} ${req.url}`)
    state.authorization = req.headers['proxy-authorization']
    const url = new URL(req.url ?? '')
    const forward = http.request(
      {
        host: '127.0.0.1',
        port: target,
        method: req.method,
        path: url.pathname + url.search,
        headers: req.headers,
      },
      (answer) => {
        res.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.pipe(res)
      },
    )
    req.pipe(forward)
  })
  server.on('connect', (req, socket, head) => {
    seen.push(`CONNECT ${req.url}`)
    const upstream = net.connect(target, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      upstream.write(head)
      upstream.pipe(socket).pipe(upstream)
    })
    upstream.on('error', () => socket.destroy())
    socket.on('error', () => upstream.destroy())
    t.after(() => upstream.destroy())
  })
  state.port = await listen(t, server)
  return state
}

async function listen(t: TestContext, server: http.Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
