import assert from 'node:assert/strict'
import { test } from 'node:test'
import { statusLines } from '../../src/cli/commands/status.ts'
import { ago, bytes, fit, printable, seconds, table, width } from '../../src/cli/format.ts'
import { plainText } from '../../src/cli/progress.ts'
import { barText } from '../../src/cli/progress-bar.ts'

test('bytes take at most nine columns', () => {
  for (const n of [0, 1, 999, 1000, 1023, 1024, 1e6, 99.9 * 2 ** 20, 2 ** 40 - 1, 2 ** 52]) {
    assert.ok(bytes(n).length <= 9, bytes(n))
  }
  assert.equal(bytes(2 ** 20), '1.00 MiB')
  assert.equal(bytes(1000), '0.98 KiB')
})

test('times read as people say them', () => {
  assert.equal(seconds(0.84), '0.8 s')
  assert.equal(seconds(187), '3:07')
  assert.equal(ago(0, 3 * 3600_000), '3 h ago')
})

test('a long text is shortened in its middle and wide characters count twice', () => {
  assert.equal(width('日本'), 4)
  assert.ok(width(fit('s3://bucket/日本日本日本日本/train/v1', 20)) <= 20)
  assert.match(fit('/nvme/cache/aws/bucket/prefix/file.tar', 20), /…/)
  assert.equal(printable('a\x1b[31m\nb'), 'a\\x1b[31m\\x0ab')
})

test('a table never exceeds its columns', () => {
  const rows = [['x'.repeat(120), '1.00 GiB', 'y'.repeat(90)]]
  for (const line of table(
    [
      { title: 'A', shrink: true },
      { title: 'B', right: true },
      { title: 'C', shrink: true },
    ],
    rows,
    80,
  )) {
    assert.ok(width(line) <= 80, line)
  }
})

test('the folder of the cache has a line of its own where the first would be too long, and is whole with -v', () => {
  const report = { used: 2 ** 40, free: 2 ** 41, datasets: [], sync: [] }
  const lines = (cacheDir: string, verbose = false) => statusLines({ ...report, cacheDir }, 80, verbose)
  assert.equal(lines('/nvme/cache')[0], 'cache /nvme/cache: 1.00 TiB in use, 2.00 TiB free')
  const long = `/nvme/${'folder/'.repeat(8)}cache`
  assert.deepEqual(lines(long).slice(0, 2), [`cache ${long}`, '  1.00 TiB in use, 2.00 TiB free'])
  const longer = `/nvme/${'folder/'.repeat(20)}cache`
  assert.ok(width(lines(longer)[0] ?? '') <= 80)
  assert.deepEqual(lines(longer, true)[0], `cache ${longer}`)
})

test('status fits 80 columns whatever the names', () => {
  const lines = statusLines(
    {
      cacheDir: '/nvme/cache',
      used: 2 ** 40,
      free: 2 ** 41,
      datasets: [
        {
          id: 'imagenet-0123456789ab',
          source: `s3://packed/${'very-long/'.repeat(12)}`,
          path: '/nvme/cache/aws/packed/x@0123456789ab',
          bytes: 2 ** 39,
          files: 1_281_167,
          state: 'fetching',
          lastUsed: 0,
          leases: [{ id: 'l', owner: 'slurm-4711-with-a-long-name', until: 0, live: true }],
          pins: ['p'],
        },
      ],
      sync: [
        {
          dir: '/nvme/ckpt',
          destination: `s3://runs/${'r'.repeat(60)}/`,
          running: true,
          epoch: 3,
          committed: 12,
          pending: 1,
          lastCommit: { name: 'checkpoint-500', at: 0 },
        },
      ],
    },
    80,
    false,
    86_400_000 * 3,
  )
  for (const line of lines) assert.ok(width(line) <= 80, line)
  assert.match(lines.join('\n'), /3 d ago/)
})

const tally = {
  phase: 'fetch',
  bytes: 1.2 * 2 ** 30,
  bytesTotal: 3.4 * 2 ** 30,
  objects: 1_234_567,
  objectsTotal: 20_000_000,
  retries: 3,
  bytesRate: 110 * 2 ** 20,
  objectsRate: 900,
  eta: 3600,
}

test('the bar says bytes, objects, rate, time left and retries in one line of any terminal', () => {
  const line = barText({ ...tally, objects: 12, objectsTotal: 200 }, 79)
  for (const part of ['fetch', '35%', 'GiB', '12/200 obj', '110 MiB/s', '1:00:00', '3 retries']) {
    assert.ok(line.includes(part), `${part} in ${line}`)
  }
  for (const columns of [20, 40, 60, 79, 200]) assert.ok(width(barText(tally, columns)) <= columns)
})

test('the plain line says the same in words', () => {
  assert.equal(
    plainText({ ...tally, objects: 12, objectsTotal: 200 }),
    'fetch: 35% 1.20 GiB of 3.40 GiB, 12 of 200 objects, 110 MiB/s, 1:00:00 left, 3 retries',
  )
})
