// Finds the test files of a lane and hands them to node's own runner: Node 20 knows no globs in `--test`.
//   node scripts/test.mjs unit|sdk|faults|interop|nightly [PATH PART…]
// sdk and faults run the unit tests that talk to a server once more: with every transfer on the SDK lane, and with a
// fault on every fifth request (test/support/lanes.ts).
import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import glob from 'fast-glob'

const [lane = 'unit', ...parts] = process.argv.slice(2)
const talking = ['test/{s3,transfer,fetch,pack,preload,sync,commands,cli,faults}/**/*.test.ts']
const lanes = {
  unit: { files: ['test/**/*.test.ts'], ignore: ['test/interop/**', 'test/nightly/**'], seconds: 120 },
  sdk: { files: talking, ignore: [], seconds: 240, env: { LONGSHORE_LANE: 'sdk' } },
  faults: {
    files: talking,
    ignore: [],
    seconds: 240,
    env: { LONGSHORE_TEST_FAULTS: process.env.LONGSHORE_TEST_FAULTS ?? '5' },
  },
  interop: { files: ['test/interop/**/*.test.ts'], ignore: [], seconds: 900 },
  nightly: { files: ['test/nightly/**/*.test.ts'], ignore: [], seconds: 3600 },
}
if (lanes[lane] === undefined) {
  process.stderr.write(`no lane ${lane}: ${Object.keys(lanes).join(', ')}\n`)
  process.exit(2)
}
const { files, ignore, seconds, env = {} } = lanes[lane]
const found = (await glob(files, { ignore })).filter((f) => parts.every((p) => f.includes(p))).sort()
if (found.length === 0) {
  process.stderr.write(`no test file matches ${lane} ${parts.join(' ')}\n`)
  process.exit(2)
}

// In most containers /tmp is an overlay, of which the cache rightly warns: tests that want a silent stderr need another.
const OVERLAY = 0x794c7630
const base = statfsSync(tmpdir()).type === OVERLAY ? '/dev/shm' : tmpdir()
// A temporary folder of their own, so that what they leave behind is seen, and gone.
const temp = mkdtempSync(join(base, 'ls-'))
// Tests that play another user must get in.
chmodSync(temp, 0o755)

const args = ['--import', 'tsx', '--test', `--test-timeout=${seconds * 1000}`]
// Many tests wait for a child or a timer: two files at once on two cores. The other lanes measure kills in time.
args.push(`--test-concurrency=${['interop', 'nightly'].includes(lane) ? 1 : 2}`)
const worker = new URL('../bin/worker.cjs', import.meta.url).href
const child = spawn(process.execPath, [...args, '--test-reporter=spec', ...found], {
  stdio: 'inherit',
  env: { ...process.env, ...env, TMPDIR: temp, LONGSHORE_TEST_WORKER: worker },
})
child.on('exit', (code) => {
  // tsx keeps its compiled files there; pack its locks, by user.
  const left = readdirSync(temp).filter((name) => !/^(tsx-|node-compile-cache|longshore-\d+$)/.test(name))
  rmSync(temp, { recursive: true, force: true, maxRetries: 5 })
  if (left.length > 0) process.stderr.write(`tests left files behind: ${left.join(' ')}\n`)
  process.exit(code === 0 && left.length > 0 ? 1 : (code ?? 1))
})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
