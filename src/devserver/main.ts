import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { makeCertificate } from './certificate.ts'
import { startDevServer } from './server.ts'

/**
 * The dev server in a process of its own:
 * `node dist/devserver.js --dir D [--port N] [--bucket B]… [--tls] [--anonymous] [--with-parent]`.
 * Prints one JSON line `{url, port, ca?}` when it listens; ends on SIGTERM, SIGINT or when its stdin ends (--with-parent).
 */
const { values } = parseArgs({
  options: {
    dir: { type: 'string' },
    port: { type: 'string', default: '0' },
    bucket: { type: 'string', multiple: true, default: [] },
    tls: { type: 'boolean', default: false },
    anonymous: { type: 'boolean', default: false },
    'with-parent': { type: 'boolean', default: false },
    'access-key': { type: 'string', default: 'longshore' },
    'secret-key': { type: 'string', default: 'longshore-secret' },
  },
})
if (values.dir === undefined) {
  process.stderr.write(
    'usage: main.js --dir DIR [--port N] [--bucket NAME]… [--tls] [--anonymous] [--with-parent]\n',
  )
  process.exit(2)
}

const certificate = values.tls ? makeCertificate() : undefined
const server = await startDevServer({
  dir: path.join(values.dir, 'buckets'),
  port: Number(values.port),
  buckets: values.bucket,
  tls: certificate,
  anonymous: values.anonymous,
  credentials: [{ accessKeyId: values['access-key'], secretAccessKey: values['secret-key'] }],
})
const ca = certificate === undefined ? undefined : path.resolve(values.dir, 'ca.pem')
if (certificate !== undefined && ca !== undefined) writeFileSync(ca, certificate.cert)
process.stdout.write(`${JSON.stringify({ url: server.url, port: server.port, ca })}\n`)

const stop = () => void server.close().then(() => process.exit(0))
process.once('SIGTERM', stop)
process.once('SIGINT', stop)
if (values['with-parent']) process.stdin.once('end', stop).resume()
