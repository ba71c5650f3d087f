import { resolve } from 'node:path'
import { CACHE_SPECS, LIMIT_SPECS } from '../cache-specs.ts'
import { defineCommand } from '../command.ts'
import { bytes, counted } from '../format.ts'
import { value } from '../spec.ts'
import { parseDuration, parseLimit } from '../units.ts'

export const evictCommand = defineCommand({
  name: 'evict',
  words: '',
  least: 0,
  most: 0,
  summary: 'bring the cache under its limits',
  description:
    'Removes the versions that were used least recently until the cache is under its limits. Leased, pinned or half-fetched ones stay, and so does everything that longshore did not fetch. Made for cron or a timer.',
  examples: [
    'longshore evict --max-size 3TiB',
    'longshore evict --min-free 10% --max-age 14d',
    'longshore evict --max-size 3TiB --dry-run',
  ],
  specs: {
    ...CACHE_SPECS,
    ...LIMIT_SPECS,
    minFree: { ...LIMIT_SPECS.minFree, unless: '10% when no other limit is given' },
    lowWatermark: value(
      '--low-watermark <LIMIT>',
      'once over a limit, go down to this size or share of it',
      parseLimit,
      { unless: '90%' },
    ),
    maxAge: value('--max-age <DURATION>', 'evict what was not used for this long', parseDuration),
    grace: value('--grace <DURATION>', 'never what was used later than this ago', parseDuration, {
      fallback: 60_000,
      unless: '1m',
    }),
  },
  async run({ values, context, globals }) {
    const { evict } = await import('../../commands/evict.ts')
    const report = await evict(values, context)
    const gone = report.evicted.reduce((sum, one) => sum + one.bytes, 0)
    const held = report.held.length === 0 ? '' : `; held ${counted(report.held.length, 'dataset')}`
    const limits = report.withinLimits ? '' : '; still over its limits'
    const lines = [
      `${report.cacheDir}: ${globals.dryRun ? 'would evict' : 'evicted'} ${counted(report.evicted.length, 'dataset')} (${bytes(gone)}), ` +
        `${bytes(report.after)} in use, ${bytes(report.free)} free${held}${limits}`,
    ]
    if (globals.dryRun)
      lines.push(
        ...report.evicted.map((one) => `  ${resolve(report.cacheDir, one.path)}  ${bytes(one.bytes)}`),
      )
    if (!report.withinLimits) {
      for (const one of report.held)
        context.progress.warn(`${resolve(report.cacheDir, one.path)} (${bytes(one.bytes)}) stays: ${one.why}`)
    }
    return { exit: report.exit, lines, report }
  },
})
