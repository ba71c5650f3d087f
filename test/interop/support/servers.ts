import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { seaweedfs, versitygw } from './tools.ts'

export interface RealServer {
  name: string
  url: string
  bucket: string
  /** Credentials, region and endpoint, as a user's environment would have them. */
  env: Record<string, string>
  /** CPU seconds the server has used so far. */
  cpu(): Promise<number>
  stop(): Promise<void>
}

const KEY = 'longshore'
const SECRET = 'longshore-secret'
const BUCKET = 'test'

export async function startSeaweedfs(): Promise<RealServer> {
  const weed = await seaweedfs()
  const dir = await mkdtemp(join(tmpdir(), 'longshore-weed-'))
  const port = await freePort()
  const ports = await Promise.all(Array.from({ length: 4 }, freePort))
  const args = [
    '-logtostderr',
    'mini',
    `-dir=${dir}`,
    '-ip=127.0.0.1',
    '-ip.bind=127.0.0.1',
    `-s3.port=${port}`,
    `-master.port=${ports[0]}`,
    `-volume.port=${ports[1]}`,
    `-filer.port=${ports[2]}`,
    `-admin.port=${ports[3]}`,
    `-bucket=${BUCKET}`,
    '-master.telemetry=false',
    '-admin.ui=false',
    '-webdav=false',
    '-s3.port.iceberg=0',
    '-s3.port.lance=0',
  ]
  const child = launch(weed, args, dir, { AWS_ACCESS_KEY_ID: KEY, AWS_SECRET_ACCESS_KEY: SECRET })
  return ready({ name: 'SeaweedFS', child, dir, port })
}

export async function startVersitygw(): Promise<RealServer> {
  const gateway = await versitygw()
  const dir = await mkdtemp(join(tmpdir(), 'longshore-vgw-'))
  const port = await freePort()
  const root = join(dir, 'root')
  const meta = join(dir, 'meta')
  // A bucket of the posix backend is a folder of its root.
  await mkdir(join(root, BUCKET), { recursive: true })
  await mkdir(meta, { recursive: true })
  const args = ['--port', `127.0.0.1:${port}`, '--quiet', '--keep-alive', 'posix', '--sidecar', meta, root]
  const child = launch(gateway, args, dir, { ROOT_ACCESS_KEY: KEY, ROOT_SECRET_KEY: SECRET })
  return ready({ name: 'versitygw', child, dir, port })
}

interface Started {
  name: string
  child: ChildProcess
  dir: string
  port: number
}

async function ready({ name, child, dir, port }: Started): Promise<RealServer> {
  const url = `http://127.0.0.1:${port}`
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise<void>((done) => child.once('exit', () => done()))
      child.kill('SIGKILL')
      await gone
    }
    await rm(dir, { recursive: true, force: true, maxRetries: 5 })
  }
  const env = {
    AWS_ACCESS_KEY_ID: KEY,
    AWS_SECRET_ACCESS_KEY: SECRET,
    AWS_REGION: 'us-east-1',
    AWS_ENDPOINT_URL: url,
  }
  const server: RealServer = { name, url, bucket: BUCKET, env, cpu: () => cpuSeconds(child.pid), stop }
  try {
    await answering(server, child)
    return server
  } catch (error) {
    await stop()
    throw error
  }
}

/** Ready means: a signed request for the bucket is answered, not merely: the port is open. */
async function answering(server: RealServer, child: ChildProcess): Promise<void> {
  const { S3Client, HeadBucketCommand } = await import('@aws-sdk/client-s3')
  const client = new S3Client({
    endpoint: server.url,
    region: 'us-east-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: KEY, secretAccessKey: SECRET },
  })
  try {
    for (let attempt = 0; attempt < 300; attempt++) {
      if (child.exitCode !== null) throw new Error(`${server.name} ended with ${child.exitCode} at its start`)
      const answer = await client.send(new HeadBucketCommand({ Bucket: BUCKET })).catch(() => undefined)
      if (answer) return
      await sleep(100)
    }
    throw new Error(`${server.name} did not answer within 30 s`)
  } finally {
    client.destroy()
  }
}

function launch(command: string, args: string[], dir: string, env: Record<string, string>): ChildProcess {
  const log = createWriteStream(join(dir, 'server.log'))
  const child = spawn(command, args, {
    cwd: dir,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.stdout.pipe(log, { end: false })
  child.stderr.pipe(log, { end: false })
  child.on('error', () => {})
  return child
}

async function cpuSeconds(pid: number | undefined): Promise<number> {
  const { readFile } = await import('node:fs/promises')
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // utime and stime, in clock ticks of 10 ms (proc(5), fields 14 and 15).
  return (Number(fields[11]) + Number(fields[12])) / 100
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  await new Promise((done) => server.close(done))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
