import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createData } from './data.ts'
import { startGateways } from './gateway.ts'
import { describeMachine, placeFor } from './machine.ts'
import { createMeasure } from './measure.ts'
import { HELP, type Options, parseOptions } from './options.ts'
import { openOwnBucket } from './own-bucket.ts'
import { installPeers } from './peers.ts'
import { report } from './report.ts'
import { ROWS } from './rows/index.ts'
import { runRows } from './run-rows.ts'
import { homeOf, loadSaved, type Saved, save } from './saved.ts'
import { sizesOf } from './sizes.ts'

const RESULTS = resolve(import.meta.dirname, 'results.md')
const stopped = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (!stopped.signal.aborted) say('stopping the servers and removing the data')
    stopped.abort(new Error(`stopped by ${signal}`))
  })
}

try {
  process.exitCode = await main()
} catch (error) {
  const { aborted, reason } = stopped.signal
  const cause: unknown = aborted ? reason : error
  say(cause instanceof Error ? cause.message : String(cause))
  process.exitCode = aborted ? 130 : 1
}

async function main(): Promise<number> {
  let options: Options
  try {
    options = parseOptions(process.argv.slice(2))
  } catch (error) {
    say(`${error instanceof Error ? error.message : error}\nTry: npm run bench -- --help`)
    return 2
  }
  if (options.help) {
    process.stdout.write(HELP)
    return 0
  }
  if (process.platform !== 'linux') throw new Error('the bench reads CPU times from /proc: it needs Linux')
  if (!existsSync(resolve(import.meta.dirname, '../dist'))) throw new Error('nothing is built: npm run build')
  return await bench(options)
}

async function bench(options: Options): Promise<number> {
  const { own, quick } = options
  const { signal } = stopped
  const sizes = sizesOf(options)
  const rows = ROWS.filter((row) => options.rows.includes(row.id))
  const peers = await installPeers({ server: own === undefined })
  const kept = rows.reduce((most, row) => Math.max(most, row.needs(sizes)), 0) + 2 ** 30
  const dir = await mkdtemp(join(await placeFor(kept, options.dir), 'longshore-bench-'))
  let server: Awaited<ReturnType<typeof startGateways>> | undefined
  try {
    const machine = await describeMachine(dir, peers.versions)
    const schemes = options.scheme === undefined ? (['https', 'http'] as const) : [options.scheme]
    server =
      own === undefined
        ? await startGateways({ peers, dir, schemes: [...schemes], signal })
        : await openOwnBucket(own)
    const measure = createMeasure({ python: peers.python, dir, signal })
    const data = createData({ peers, measure, dir, signal, say })
    const { targets } = server
    const { runs } = options
    const context = { targets, sizes, runs, quick, dir, peers, data, measure, tuned: new Map(), signal, say }
    const place =
      own === undefined ? 'local' : `${new URL(own.endpointUrl ?? 'https://aws').host}-${own.bucket}`
    const all: Saved[] = []
    await runRows(context, rows, async ({ scheme, row }) => {
      const saved = { at: new Date().toISOString(), machine, runs, scheme, row }
      all.push(saved)
      if (!quick) await save(place, saved)
    })
    process.stdout.write(report(all, { judged: !quick }))
    const file = options.results ?? (own === undefined ? RESULTS : join(homeOf(place), 'results.md'))
    if (!quick || options.results !== undefined) {
      await writeFile(file, quick ? report(all, { judged: false }) : report(await loadSaved(place)))
      say(`written to ${file}`)
    }
    return all.some(({ row }) => failedIn(row)) ? 1 : 0
  } finally {
    // The server's objects are below the folder: nothing can be written to it any more when it goes.
    await server?.stop().catch((error: unknown) => say(String(error)))
    await rm(dir, { recursive: true, force: true, maxRetries: 5 })
  }
}

function failedIn(row: Saved['row']): boolean {
  const entrants = row.contests.flatMap((contest) => contest.entrants)
  return row.failed !== undefined || entrants.some((entrant) => entrant.failed !== undefined)
}

function say(line: string): void {
  process.stderr.write(`bench: ${line}\n`)
}
