import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises'
import { request as overHttp } from 'node:http'
import { request as overHttps } from 'node:https'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { makeCertificate } from '../src/devserver/certificate.ts'
import { freePort } from '../test/interop/support/servers.ts'
import { openBucket } from './bucket.ts'
import { cleanEnv } from './environment.ts'
import type { Peers } from './peers.ts'
import type { Scheme, Target } from './types.ts'

const KEY = 'longshore'
const SECRET = 'longshore-bench'
const BUCKET = 'bench'
const REGION = 'us-east-1'

export interface Gateways {
  targets: Target[]
  stop(): Promise<void>
}

export interface GatewayOptions {
  peers: Peers
  /** Its objects are plain files below it. */
  dir: string
  schemes: Scheme[]
  signal: AbortSignal
}

/** A versitygw a scheme, on the same folder: what one of them serves has been read into memory for the other too. */
export async function startGateways({ peers, dir, schemes, signal }: GatewayOptions): Promise<Gateways> {
  const root = join(dir, 'root')
  const meta = join(dir, 'meta')
  await mkdir(join(root, BUCKET), { recursive: true })
  await mkdir(meta)
  const { cert, key } = makeCertificate()
  const certFile = join(dir, 'ca.pem')
  const keyFile = join(dir, 'key.pem')
  await writeFile(certFile, cert)
  await writeFile(keyFile, key, { mode: 0o600 })

  const attributes = await hasAttributes(peers.python, root)
  const backend = attributes ? ['posix', root] : ['posix', '--sidecar', meta, root]
  const env = cleanEnv({
    AWS_ACCESS_KEY_ID: KEY,
    AWS_SECRET_ACCESS_KEY: SECRET,
    AWS_REGION: REGION,
    AWS_CA_BUNDLE: certFile,
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    XDG_CONFIG_HOME: join(dir, 'config'),
  })
  const children: ChildProcess[] = []
  const targets: Target[] = []
  const stop = async () => {
    for (const target of targets) closers.get(target)?.()
    await Promise.all(children.map(end))
  }
  const closers = new Map<Target, () => void>()
  try {
    for (const scheme of schemes) {
      const port = await freePort()
      const tls = scheme === 'https' ? ['--cert', certFile, '--key', keyFile] : []
      const args = ['--port', `127.0.0.1:${port}`, '--quiet', '--keep-alive', ...tls, ...backend]
      const child = await launch({ command: peers.versitygw ?? 'versitygw', args, dir, scheme })
      children.push(child)
      const endpointUrl = `${scheme}://127.0.0.1:${port}`
      await answering({ url: endpointUrl, ca: cert, child, dir, signal })
      const credentials = { accessKeyId: KEY, secretAccessKey: SECRET }
      const bucket = openBucket({ bucket: BUCKET, endpointUrl, region: REGION, credentials, ca: cert })
      const target: Target = {
        scheme,
        name: `versitygw ${peers.versions.versitygw} on the same machine`,
        bucket: BUCKET,
        prefix: '',
        endpointUrl,
        caBundle: scheme === 'https' ? certFile : undefined,
        env,
        serverPids: child.pid === undefined ? [] : [child.pid],
        folder: (prefix) => join(root, BUCKET, prefix),
        seedsDirectly: attributes,
        list: bucket.list,
        remove: async (prefix) => {
          await rm(join(root, BUCKET, prefix), { recursive: true, force: true })
          await rm(join(meta, BUCKET, prefix), { recursive: true, force: true })
        },
      }
      targets.push(target)
      closers.set(target, bucket.close)
    }
    return { targets, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function launch(about: {
  command: string
  args: string[]
  dir: string
  scheme: Scheme
}): Promise<ChildProcess> {
  const log = await open(join(about.dir, `versitygw-${about.scheme}.log`), 'w')
  try {
    const env = cleanEnv({ ROOT_ACCESS_KEY: KEY, ROOT_SECRET_KEY: SECRET })
    const child = spawn(about.command, about.args, {
      cwd: about.dir,
      env,
      stdio: ['ignore', log.fd, log.fd],
      // Ctrl-C in a terminal goes to the whole group: the server is stopped when its clients are.
      detached: true,
    })
    child.on('error', () => {})
    return child
  } finally {
    await log.close()
  }
}

/** Whether the folder's filesystem keeps extended attributes: versitygw's cheapest place for an object's ETag. */
async function hasAttributes(python: string, folder: string): Promise<boolean> {
  const script = 'import os, sys; os.setxattr(sys.argv[1], "user.bench", b"1")'
  return promisify(execFile)(python, ['-c', script, folder]).then(
    () => true,
    () => false,
  )
}

async function answering(about: {
  url: string
  ca: string
  child: ChildProcess
  dir: string
  signal: AbortSignal
}): Promise<void> {
  for (let attempt = 0; attempt < 150; attempt++) {
    if (about.child.exitCode !== null || about.child.pid === undefined) break
    if (await ping(about.url, about.ca)) return
    await sleep(100, undefined, { signal: about.signal })
  }
  const log = await readFile(
    join(about.dir, `versitygw-${new URL(about.url).protocol.slice(0, -1)}.log`),
    'utf8',
  )
  throw new Error(`versitygw does not answer at ${about.url}: ${log.trim().slice(-300)}`)
}

function ping(url: string, ca: string): Promise<boolean> {
  return new Promise((done) => {
    const ask = url.startsWith('https:') ? overHttps : overHttp
    const call = ask(url, { ca, agent: false, timeout: 2000 }, (answer) => {
      answer.resume()
      done(true)
    })
    call.on('timeout', () => call.destroy())
    call.on('error', () => done(false))
    call.end()
  })
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise<void>((done) => child.once('exit', () => done()))
  child.kill('SIGKILL')
  await gone
}
