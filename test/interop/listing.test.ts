import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openStore } from '../../src/s3/open.ts'
import { S3_DEFAULTS } from '../../src/s3/settings.ts'
import { startSeaweedfs, startVersitygw } from './support/servers.ts'
import { orSkip } from './support/tools.ts'

const OBJECTS = 3600
/** 'm/' holds folders beside names that begin like them: where servers differ in their order. */
const nameOf = (i: number): string => {
  const n = String(i).padStart(5, '0')
  return i % 2
    ? `f/img-${n}.jpg`
    : `m/${i >> 4}${['/a', '-b', '.c', '/d/e', '~', '0f', '_', 'é'][(i >> 1) & 7]}${n}`
}

for (const [name, start] of [
  ['SeaweedFS', startSeaweedfs],
  ['versitygw', startVersitygw],
] as const) {
  test(`a listing in any order has each key once (${name})`, async (t) => {
    const server = await orSkip(t, start)
    if (server === undefined) return
    t.after(() => server.stop())
    const settings = { ...S3_DEFAULTS, endpointUrl: server.url, region: 'us-east-1' }
    const location = { kind: 's3' as const, bucket: server.bucket, prefix: '' }
    const { store } = await openStore(location, settings, { env: server.env })
    t.after(() => store.close())
    const keys = Array.from({ length: OBJECTS }, (_, i) => nameOf(i))
    let next = 0
    const put = async () => {
      for (let key = keys[next++]; key !== undefined; key = keys[next++])
        await store.put({ key, body: Buffer.from('x') })
    }
    await Promise.all(Array.from({ length: 16 }, put))
    for (const prefix of ['', 'f/', 'm/']) {
      const found: string[] = []
      for await (const page of store.listPages({ prefix, anyOrder: true }))
        found.push(...page.objects.map(({ key }) => key))
      assert.deepEqual(found.sort(), keys.filter((key) => key.startsWith(prefix)).sort())
    }
  })
}
