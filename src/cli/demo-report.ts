import type { DemoReport, DemoStep } from '../commands/demo.ts'
import { bytes, count, counted, fit, seconds } from './format.ts'

/** `pack      2,500 samples in 3 shards, 38.2 MiB                        4.1 s` */
export function stepLine({ name, facts, seconds: took }: DemoStep): string {
  const time = seconds(took)
  const text = fit(sentence(name, facts), 80 - 10 - 2 - time.length)
  return `${name.padEnd(10)}${text}${' '.repeat(Math.max(2, 80 - 10 - text.length - time.length))}${time}`
}

function sentence(name: DemoStep['name'], facts: DemoStep['facts']): string {
  const n = (key: string): number => Number(facts[key] ?? 0)
  switch (name) {
    case 'files':
      return `${counted(n('files'), 'small file')} made, ${bytes(n('bytes'))}`
    case 'upload':
      return `${counted(n('files'), 'object')} put into the bucket, one by one`
    case 'pack': {
      const left = n('left') === 0 ? '' : `, ${counted(n('left'), 'file')} left out`
      return `${counted(n('samples'), 'sample')} in ${counted(n('shards'), 'shard')}, ${bytes(n('bytes'))}${left}`
    }
    case 'preload':
      return `${counted(n('files'), 'local file')}, ${bytes(n('bytes'))}, with ${counted(n('gets'), 'GET')}`
    case 'verify':
      return `${counted(n('files'), 'file')} read from the tars, each equal to its source`
    case 'sync':
      return `${counted(n('checkpoints'), 'checkpoint')} committed, ${bytes(n('bytes'))}`
    case 'restore':
      return `${facts.name} in a fresh folder, ${counted(n('files'), 'file')}, byte for byte`
    case 'evict':
      return `lease released, ${bytes(n('bytes'))} of cache given back`
  }
}

/** What follows the steps: the gain, and what could not be packed. */
export function demoLines(report: DemoReport): string[] {
  const { raw, packed } = report.requests
  const lines = [
    '',
    `A job that starts from the shards asks S3 ${counted(packed, 'time')} instead of ${count(raw)}:`,
    `${raw > packed ? `${count(raw - packed)} requests saved on each node. ` : ''}All of it took ${seconds(report.seconds)}.`,
  ]
  const { left } = report
  if (left.count > 0) {
    lines.push('', `${counted(left.count, 'file')} can't be in a shard (exit 3):`)
    for (const [reason, times] of Object.entries(left.reasons).sort((a, b) => b[1] - a[1])) {
      lines.push(`  ${count(times).padStart(7)}  ${fit(reason, 69)}`)
    }
    if (left.file !== undefined) lines.push(`The whole list: ${left.file}`)
    else for (const { key, reason } of left.first) lines.push(`  ${fit(key, 76)}`, `    ${fit(reason, 74)}`)
  }
  if (report.folder !== undefined) lines.push('', `Kept: ${report.folder}`)
  return lines
}
