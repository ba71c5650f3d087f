import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { now } from './call.ts'
import { openFaults } from './effects.ts'
import { s3Failure } from './failure.ts'
import { handleRequest, type Serving } from './handle-request.ts'
import { readWhole } from './read-object.ts'
import { openRequestLog } from './request-log.ts'
import { watchConnections } from './reset.ts'
import { stageBytes } from './staging.ts'
import { type Bucket, deleteObject, openStorage, putObject, type Storage } from './storage.ts'
import { DEV_CREDENTIALS, type DevServer, type DevServerOptions } from './types.ts'

const MIN_PART_SIZE = 5 * 1024 * 1024
const LOG_SIZE = 100_000
const KEEP_ALIVE_MS = 60_000
/** bytes; a key of 1024 bytes is up to 3 KiB in the request line, metadata another 2 KiB. */
const MAX_HEADER = 32 * 1024

/** A loopback S3: the parts of its API that longshore uses, on a folder, with faults on request. */
export async function startDevServer(options: DevServerOptions): Promise<DevServer> {
  const storage = openStorage({ dir: options.dir, fsync: options.fsync ?? false })
  for (const name of options.buckets ?? []) if (!storage.buckets.has(name)) storage.create(name)
  const faults = openFaults(options.faults ?? [])
  const requests = openRequestLog(options.logSize ?? LOG_SIZE)
  const serving: Serving = {
    storage,
    faults,
    signature: {
      credentials: options.credentials ?? [DEV_CREDENTIALS],
      anonymous: options.anonymous ?? false,
      region: options.region,
    },
    domains: options.domains ?? ['s3.localhost', 'localhost'],
    minPartSize: options.minPartSize ?? MIN_PART_SIZE,
    log: requests.add,
  }
  const running = new Set<Promise<void>>()
  const handle = (waits: boolean) => (request: IncomingMessage, response: ServerResponse) => {
    // No bucket can be called `-`.
    const work = request.url?.startsWith('/-/')
      ? import('./control.ts').then(({ control }) => control(request, response, { faults, requests }))
      : handleRequest(request, response, serving, waits)
    running.add(work)
    void work.finally(() => running.delete(work))
  }
  const http = {
    keepAliveTimeout: options.keepAliveMs ?? KEEP_ALIVE_MS,
    requestTimeout: 0,
    maxHeaderSize: MAX_HEADER,
  }
  const server: Server =
    options.tls === undefined ? createServer(http) : createTlsServer({ ...http, ...options.tls })
  if (options.tls !== undefined) watchConnections(server)
  server.on('request', handle(false))
  server.on('checkContinue', handle(true))
  // A broken connection is the client's affair, and often this server's own doing.
  server.on('clientError', (_, socket) => socket.destroy())
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo

  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    port,
    faults: { add: faults.add, clear: faults.clear },
    requests,
    objects: directAccess(storage),
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
      await Promise.all(running)
    },
  }
}

function directAccess(storage: Storage): DevServer['objects'] {
  const bucketOf = (name: string): Bucket => {
    const bucket = storage.buckets.get(name)
    if (bucket === undefined) throw s3Failure('NoSuchBucket', `no bucket ${name}`)
    return bucket
  }
  return {
    put(name, key, body, headers = {}) {
      const bytes = Buffer.from(body)
      const bucket = bucketOf(name)
      const etag = `"${createHash('md5').update(bytes).digest('hex')}"`
      putObject(bucket, stageBytes(bytes, bucket.stage), {
        key,
        size: bytes.length,
        etag,
        modified: now(),
        headers,
      })
    },
    get(name, key) {
      const bucket = bucketOf(name)
      const object = bucket.objects.get(key)
      if (object === undefined) return undefined
      return readWhole(bucket, object)
    },
    delete: (name, key) => deleteObject(bucketOf(name), key),
    keys: (name, prefix = '') =>
      bucketOf(name)
        .objects.sorted()
        .filter((key) => key.startsWith(prefix)),
    uploads: (name) => [...bucketOf(name).uploads.values()].map(({ id, key }) => ({ key, uploadId: id })),
  }
}
