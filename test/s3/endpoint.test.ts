import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { resolveEndpoint } from '../../src/s3/endpoint.ts'
import { openStore } from '../../src/s3/open.ts'
import { S3_DEFAULTS } from '../../src/s3/settings.ts'
import { withDevServer } from '../support/devserver.ts'
import { LANE } from '../support/lanes.ts'
import { tempDir } from '../support/tmp.ts'

function homeWith(t: TestContext, config: string, credentials = ''): string {
  const home = tempDir(t)
  mkdirSync(join(home, '.aws'))
  writeFileSync(join(home, '.aws', 'config'), config)
  writeFileSync(join(home, '.aws', 'credentials'), credentials)
  return home
}

const CONFIG = `
[default]
region = us-east-1 ; the nearest
[profile minio]
endpoint_url = http://minio.example:9000
[profile both]
services = lab
endpoint_url = http://all.example
[services lab]
dynamodb =
  endpoint_url = http://tables.example
s3 =
  endpoint_url = https://objects.example
[profile off]
endpoint_url = http://minio.example:9000
ignore_configured_endpoint_urls = true
`

test('the endpoint comes from the flag, then the environment, then the profile', async (t) => {
  const HOME = homeWith(t, CONFIG, '[old]\nendpoint_url=http://old.example\n')
  const at = (env: Record<string, string>, settings = {}) =>
    resolveEndpoint({ ...S3_DEFAULTS, ...settings }, { HOME, ...env })
  assert.equal(await at({}), undefined)
  assert.equal(await at({ AWS_PROFILE: 'minio' }), 'http://minio.example:9000')
  assert.equal(await at({}, { profile: 'minio' }), 'http://minio.example:9000')
  assert.equal(await at({}, { profile: 'both' }), 'https://objects.example')
  assert.equal(await at({}, { profile: 'old' }), 'http://old.example')
  assert.equal(await at({}, { profile: 'off' }), undefined)
  const env = { AWS_PROFILE: 'minio', AWS_ENDPOINT_URL: 'http://env.example' }
  assert.equal(await at(env), 'http://env.example')
  assert.equal(await at({ ...env, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' }), undefined)
  assert.equal(await at({ ...env, AWS_ENDPOINT_URL_S3: 'http://s3.example' }), 'http://s3.example')
  assert.equal(await at(env, { endpointUrl: 'http://flag.example' }), 'http://flag.example')
  await assert.rejects(at({ AWS_ENDPOINT_URL: 'localhost:9000' }), { code: 'BAD_CONFIG' })
})

test("an endpoint that only the profile names is asked, and has its own place in the cache, never Amazon's", async (t) => {
  const { server, env, seed } = await withDevServer(t)
  seed({ k: 'here' })
  const HOME = homeWith(t, `[default]\nendpoint_url = ${server.url}\n`)
  const { AWS_ENDPOINT_URL: _none, ...own } = env
  const settings = { ...S3_DEFAULTS, lane: LANE }
  const { store } = await openStore({ kind: 's3', bucket: 'test', prefix: '' }, settings, {
    env: { ...own, HOME },
  })
  t.after(() => store.close())
  assert.equal((await store.getDocument('k', { maxBytes: 9 }))?.bytes.toString(), 'here')
  assert.equal(store.place, `127.0.0.1_${server.port}`)
})
