import { resolve } from 'node:path'
import type { StatusReport } from '../../commands/status.ts'
import { CACHE_SPECS } from '../cache-specs.ts'
import { defineCommand } from '../command.ts'
import { ago, bytes, count, fit, printable, table, width } from '../format.ts'
import { list } from '../spec.ts'

export const statusCommand = defineCommand({
  name: 'status',
  words: '',
  least: 0,
  most: 0,
  summary: 'cache, datasets, leases, pins, sync lag',
  description: 'Shows what the cache holds, who keeps it, and how far each sync is behind.',
  examples: ['longshore status', 'longshore status --sync-dir /nvme/ckpt', 'longshore status --json'],
  specs: {
    ...CACHE_SPECS,
    syncDirs: list('--sync-dir <DIR>', 'show the sync of this folder (may be repeated)'),
  },
  async run({ values, context, columns, globals }) {
    const { status } = await import('../../commands/status.ts')
    const report = await status(values, context)
    return { exit: 0, lines: statusLines(report, columns, globals.verbose), report }
  },
})

export function statusLines(
  report: StatusReport,
  columns: number,
  verbose = false,
  now = Date.now(),
): string[] {
  const lines = cacheLines(report, columns, verbose)
  if (report.datasets.length === 0) lines.push('no datasets')
  else {
    lines.push(
      '',
      ...table(
        [
          { title: 'ID', shrink: true },
          { title: 'SOURCE', shrink: true },
          { title: 'SIZE', right: true },
          { title: 'FILES', right: true },
          { title: 'STATE' },
          { title: 'USED' },
          { title: 'KEPT BY', shrink: true },
        ],
        report.datasets.map((one) => [
          one.id,
          one.source,
          bytes(one.bytes),
          count(one.files),
          one.state,
          ago(one.lastUsed, now),
          keptBy(one),
        ]),
        columns,
      ),
    )
    if (verbose) {
      lines.push('')
      for (const one of report.datasets) {
        lines.push(resolve(report.cacheDir, one.path))
        for (const lease of one.leases) {
          const until = lease.live
            ? 'while its process lives'
            : `until ${new Date(lease.until).toISOString()}`
          lines.push(`  lease ${lease.id} of ${lease.owner}, ${until}`)
        }
        for (const pin of one.pins) lines.push(`  pin ${pin}`)
      }
    }
  }
  if (report.sync.length > 0) {
    lines.push(
      '',
      ...table(
        [
          { title: 'SYNC', shrink: true },
          { title: 'TO', shrink: true },
          { title: 'STATE' },
          { title: 'DONE', right: true },
          { title: 'PENDING', right: true },
          { title: 'LAST COMMIT', shrink: true },
        ],
        report.sync.map((one) => [
          one.dir,
          one.destination,
          one.running ? 'running' : 'stopped',
          count(one.committed),
          count(one.pending),
          one.lastCommit === undefined ? '-' : `${one.lastCommit.name}, ${ago(one.lastCommit.at, now)}`,
        ]),
        columns,
      ),
    )
  }
  return lines
}

/** One line where it fits; else the folder has its own. Whole with -v, in JSON, and where it is not too long for that. */
function cacheLines({ cacheDir, used, free }: StatusReport, columns: number, verbose: boolean): string[] {
  const name = printable(`cache ${cacheDir}`)
  const space = `${bytes(used)} in use, ${bytes(free)} free`
  const line = `${name}: ${space}`
  if (width(line) <= columns) return [line]
  return [verbose ? name : fit(name, columns), `  ${space}`]
}

function keptBy(one: StatusReport['datasets'][number]): string {
  const owners = [...new Set(one.leases.map((lease) => lease.owner))]
  if (one.pins.length > 0) owners.unshift('pin')
  return owners.length === 0 ? '-' : owners.join(', ')
}
