import { writeFileDurable } from '../fs/durable.ts'
import type { Metric } from './names.ts'

export interface Sample {
  metric: Metric
  labels?: Readonly<Record<string, string>> | undefined
  value: number
}

/**
 * Writes Prometheus text (exposition format 0.0.4) for node_exporter's textfile collector, replacing the file in
 * one step: a scrape sees the old numbers or the new ones.
 */
export async function writeMetrics(path: string, samples: readonly Sample[]): Promise<void> {
  await writeFileDurable(path, metricsText(samples), { mode: 0o644 })
}

/** Samples of one metric come together, each metric once, in the order of their first sample. */
export function metricsText(samples: readonly Sample[]): string {
  const byName = new Map<string, { metric: Metric; lines: string[] }>()
  for (const { metric, labels, value } of samples) {
    const group = byName.get(metric.name) ?? { metric, lines: [] }
    byName.set(metric.name, group)
    const pairs = Object.entries(labels ?? {}).map(([k, v]) => `${k}="${escapeLabel(v)}"`)
    group.lines.push(`${metric.name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}`)
  }
  let text = ''
  for (const { metric, lines } of byName.values()) {
    text += `# HELP ${metric.name} ${metric.help}\n# TYPE ${metric.name} ${metric.type}\n${lines.join('\n')}\n`
  }
  return text
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
