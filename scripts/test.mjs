// Finds the test files of a lane and hands them to node's own runner: Node 20 knows no globs in `--test`.
//   node scripts/test.mjs unit|interop|nightly [PATH PART…]
import { spawn } from 'node:child_process'
import { statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import glob from 'fast-glob'

const [lane = 'unit', ...parts] = process.argv.slice(2)
const lanes = {
  unit: { files: ['test/**/*.test.ts'], ignore: ['test/interop/**', 'test/nightly/**'], seconds: 120 },
  interop: { files: ['test/interop/**/*.test.ts'], ignore: [], seconds: 900 },
  nightly: { files: ['test/nightly/**/*.test.ts'], ignore: [], seconds: 3600 },
}
const { files, ignore, seconds } = lanes[lane] ?? lanes.unit
const found = (await glob(files, { ignore })).filter((f) => parts.every((p) => f.includes(p))).sort()
if (found.length === 0) {
  process.stderr.write(`no test file matches ${lane} ${parts.join(' ')}\n`)
  process.exit(2)
}
const args = ['--import', 'tsx', '--test', `--test-timeout=${seconds * 1000}`]
// Many tests wait for a child or a timer: two files at once on two cores. The other lanes measure kills in time.
args.push(`--test-concurrency=${lane === 'unit' ? 2 : 1}`)
// In most containers /tmp is an overlay, of which the cache rightly warns: tests that want a silent stderr need another.
const OVERLAY = 0x794c7630
const env = statfsSync(tmpdir()).type === OVERLAY ? { ...process.env, TMPDIR: '/dev/shm' } : process.env
const child = spawn(process.execPath, [...args, '--test-reporter=spec', ...found], { stdio: 'inherit', env })
child.on('exit', (code) => process.exit(code ?? 1))
