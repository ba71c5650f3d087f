/**
 * 20,000 objects of about 16 KiB on a real server (versitygw): pack, preload of the shards, preload of the raw
 * prefix. Prints what docs/benchmarks.md shows: objects/s, CPU an object, peak RSS, of whole processes.
 *   npm run bench [-- COUNT]
 */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { inParallel, openBucket } from '../test/interop/support/bucket.ts'
import { bytesOf } from '../test/interop/support/samples.ts'
import { startVersitygw } from '../test/interop/support/servers.ts'

const BIN = resolve(import.meta.dirname, '../bin/longshore.js')
const COUNT = Number(process.argv[2] ?? 20_000)
const RUNS = 3

interface Run {
  seconds: number
  cpu: number
  rss: number
}

const server = await startVersitygw()
const dir = await mkdtemp(join(tmpdir(), 'longshore-bench-'))
try {
  await seed()
  const rows: [string, (run: number) => string[]][] = [
    ['pack → tar shards in S3', (n) => ['pack', 's3://test/raw/', `s3://test/packed-${n}/`]],
    ['preload, packed', (n) => ['preload', 's3://test/packed-0/', '--cache-dir', join(dir, `packed-${n}`)]],
    ['preload, plain prefix', (n) => ['preload', 's3://test/raw/', '--cache-dir', join(dir, `plain-${n}`)]],
    ['preload, plain, again', () => ['preload', 's3://test/raw/', '--cache-dir', join(dir, 'plain-0')]],
  ]
  out(
    `${COUNT} objects of about 16 KiB, versitygw over http on the same ${cpus().length} cores, Node ${process.version},`,
  )
  out(`median of ${RUNS} runs; CPU and peak RSS are the longshore process's own.\n`)
  out('| job | wall s | objects/s | CPU µs an object | peak RSS MiB |\n|---|---|---|---|---|')
  for (const [name, args] of rows) {
    const runs: Run[] = []
    for (let n = 0; n < RUNS; n++) runs.push(await measure([...args(n), '-q']))
    const seconds = median(runs.map((r) => r.seconds))
    const cpu = (median(runs.map((r) => r.cpu)) / COUNT) * 1e6
    const rss = Math.max(...runs.map((r) => r.rss)) / 2 ** 20
    out(
      `| ${name} | ${seconds.toFixed(1)} | ${Math.round(COUNT / seconds)} | ${cpu.toFixed(0)} | ${rss.toFixed(0)} |`,
    )
  }
} finally {
  await server.stop()
  await rm(dir, { recursive: true, force: true })
}

async function seed(): Promise<void> {
  const bucket = await openBucket(server)
  await inParallel(Array(COUNT).keys(), 32, (i) =>
    bucket.put(
      `raw/class-${i % 100}/${String(i).padStart(7, '0')}.jpg`,
      bytesOf(`${i}`, 8_192 + ((i * 2_654_435) % 16_384)),
    ),
  )
  bucket.close()
}

/** Runs the tool and reads its usage from the kernel while it is a zombie no more: a wrapper prints it at exit. */
async function measure(args: string[]): Promise<Run> {
  const report = join(dir, 'usage.json')
  const preamble = `process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(report)}, JSON.stringify(process.resourceUsage())))`
  const start = performance.now()
  await new Promise<void>((done, fail) => {
    const hook = `data:text/javascript,import{createRequire}from'node:module';const require=createRequire('file:///');${encodeURIComponent(preamble)}`
    const child = spawn(process.execPath, ['--import', hook, BIN, ...args], {
      env: { ...process.env, ...server.env },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    child.on('error', fail)
    child.on('exit', (code) =>
      code === 0 ? done() : fail(new Error(`${args.join(' ')} ended with ${code}`)),
    )
  })
  const seconds = (performance.now() - start) / 1000
  const usage = JSON.parse(await readFile(report, 'utf8')) as NodeJS.ResourceUsage
  // getrusage counts CPU in µs and the peak resident set in KiB.
  return { seconds, cpu: (usage.userCPUTime + usage.systemCPUTime) / 1e6, rss: usage.maxRSS * 1024 }
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function out(line: string): void {
  process.stdout.write(`${line}\n`)
}
