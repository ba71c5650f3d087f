import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { METRICS } from '../../src/metrics/names.ts'
import { writeMetrics } from '../../src/metrics/write-metrics.ts'
import { tempDir } from '../support/tmp.ts'

test('metrics are one whole Prometheus file, each metric described once and labels escaped', async (t) => {
  const dir = tempDir(t)
  const path = join(dir, 'longshore.prom')
  await writeMetrics(path, [
    { metric: METRICS.preloadBytes, labels: { source: 's3://b/"x"\n', how: 'fetched' }, value: 5 },
    { metric: METRICS.preloadExit, value: 0 },
    { metric: METRICS.preloadBytes, labels: { source: 's3://b/y\\', how: 'kept' }, value: 6 },
  ])
  const text = readFileSync(path, 'utf8')
  assert.equal(
    text.replaceAll(/^# HELP .*\n/gm, ''),
    `# TYPE longshore_preload_bytes gauge
longshore_preload_bytes{source="s3://b/\\"x\\"\\n",how="fetched"} 5
longshore_preload_bytes{source="s3://b/y\\\\",how="kept"} 6
# TYPE longshore_preload_exit_status gauge
longshore_preload_exit_status 0
`,
  )
  assert.deepEqual(readdirSync(dir), ['longshore.prom'])
})

test('metric names are unique and carry the prefix', () => {
  const names = Object.values(METRICS).map((m) => m.name)
  assert.equal(new Set(names).size, names.length)
  for (const name of names) assert.match(name, /^longshore_[a-z_]+$/)
})
