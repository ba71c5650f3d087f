import type { Amount } from '../fs/amount.ts'
import { diskError } from '../fs/disk-error.ts'
import { METRICS } from '../metrics/names.ts'
import { type Sample, writeMetrics } from '../metrics/write-metrics.ts'

export interface PreloadNumbers {
  sources: readonly {
    source: string
    fetched: Amount
    kept: Amount
    linked: Amount
    checks: Readonly<Record<string, number>>
  }[]
  requests: Readonly<Record<string, number>>
  retries: number
  seconds: number
  exit: number
}

/** --metrics-file: what a preload did, for node_exporter's textfile collector. */
export async function writePreloadMetrics(path: string, report: PreloadNumbers): Promise<void> {
  const samples: Sample[] = [
    { metric: METRICS.preloadExit, value: report.exit },
    { metric: METRICS.preloadFinished, value: Date.now() / 1000 },
    { metric: METRICS.preloadDuration, value: report.seconds },
    { metric: METRICS.preloadRetries, value: report.retries },
  ]
  for (const [kind, value] of Object.entries(report.requests)) {
    samples.push({ metric: METRICS.preloadRequests, labels: { kind }, value })
  }
  for (const one of report.sources) {
    const { source } = one
    for (const how of ['fetched', 'kept', 'linked'] as const) {
      samples.push({ metric: METRICS.preloadBytes, labels: { source, how }, value: one[how].bytes })
      samples.push({ metric: METRICS.preloadFiles, labels: { source, how }, value: one[how].files })
    }
    for (const [check, value] of Object.entries(one.checks)) {
      samples.push({ metric: METRICS.preloadChecked, labels: { source, check }, value })
    }
  }
  try {
    await writeMetrics(path, samples)
  } catch (error) {
    throw diskError(error, path)
  }
}
