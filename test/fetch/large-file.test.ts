import assert from 'node:assert/strict'
import { chmodSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32 } from '../../src/checksum/crc32.ts'
import { type LargeFile, openLargeFile, partialBytes } from '../../src/fetch/large-file.ts'
import { planRanges } from '../../src/fetch/plan-ranges.ts'
import { monotonicMs } from '../../src/monotonic.ts'
import { tempDir } from '../support/tmp.ts'

const bytes = Buffer.from(Array.from({ length: 100 }, (_, n) => n))
const entry = { name: 'k', path: 'k', size: 100, etag: '"e"', crc32: crc32(bytes) }
const finish = { mode: 0o440, checkCrc: true }

function optionsIn(dir: string, part: number) {
  return { url: 's3://b/', staging: dir, journals: dir, boot: 'one', part }
}

/** What the engine does: the bytes first, then the note of them. */
async function fill(file: LargeFile, some: number): Promise<void> {
  const handle = await open(file.temp, 'r+')
  for (const { offset, length } of file.todo().slice(0, some)) {
    const range = bytes.subarray(offset, offset + length)
    await handle.write(range, 0, length, offset)
    file.add({ offset, length, crc32: crc32(range), check: 'size' })
  }
  await handle.close()
}

test('a run with another part size keeps every range that is done, and the file is whole at the end', async (t) => {
  const dir = tempDir(t)
  const first = await openLargeFile(entry, optionsIn(dir, 10))
  await fill(first, 3)
  first.close()
  const second = await openLargeFile(entry, optionsIn(dir, 32))
  assert.deepEqual(second.todo(), [
    { offset: 30, length: 2 },
    { offset: 32, length: 32 },
    { offset: 64, length: 32 },
    { offset: 96, length: 4 },
  ])
  await fill(second, 2)
  second.close()
  assert.equal(partialBytes(entry, optionsIn(dir, 7)), 64)
  const third = await openLargeFile(entry, optionsIn(dir, 7))
  assert.deepEqual(
    third.kept.map(({ offset }) => offset),
    [0, 10, 20, 30, 32],
  )
  await fill(third, third.todo().length)
  assert.equal(await third.finish(join(dir, 'k'), finish), 'crc32')
  assert.ok(readFileSync(join(dir, 'k')).equals(bytes))
  assert.equal(statSync(join(dir, 'k')).mode & 0o777, 0o440)
  assert.deepEqual(readdirSync(dir), ['k'])
})

test('ranges and what is done cover an object exactly, however both were cut', () => {
  const done = [
    { offset: 5, length: 1 },
    { offset: 0, length: 3 },
    { offset: 97, length: 3 },
    { offset: 20, length: 41 },
  ]
  const ranges = [...planRanges(100, 8, done), ...done].sort((a, b) => a.offset - b.offset)
  let end = 0
  for (const { offset, length } of ranges) {
    assert.equal(offset, end)
    assert.ok(length > 0)
    end += length
  }
  assert.equal(end, 100)
})

test('after an fsync that failed nothing is believed: the next one would succeed over lost bytes', async (t) => {
  const dir = tempDir(t)
  const file = await openLargeFile(entry, optionsIn(dir, 10))
  await fill(file, file.todo().length)
  const probe = await open(file.temp, 'r')
  const { mock } = t.mock.method(Object.getPrototypeOf(probe) as FileHandle, 'sync', async () => {
    throw Object.assign(new Error('input/output error'), { code: 'EIO' })
  })
  await probe.close()
  await assert.rejects(file.finish(join(dir, 'k'), finish), { code: 'EIO' })
  mock.restore()
  assert.deepEqual(readdirSync(dir), [])
  const again = await openLargeFile(entry, optionsIn(dir, 10))
  assert.equal(again.todo().length, 10)
  await again.discard()
})

test('a question about what is there writes nothing, not even to a journal that may not be written', async (t) => {
  const dir = tempDir(t)
  const file = await openLargeFile(entry, optionsIn(dir, 10))
  await fill(file, 4)
  file.close()
  const journal = join(dir, readdirSync(dir).find((name) => name.endsWith('.ranges')) ?? '')
  assert.ok(existsSync(journal))
  chmodSync(journal, 0o400)
  const before = statSync(journal)
  assert.equal(partialBytes(entry, optionsIn(dir, 10)), 40)
  assert.equal(statSync(journal).mtimeMs, before.mtimeMs)
})

test('wrong bytes of an earlier run are found by the sum of the whole, and nothing of the file stays', async (t) => {
  const dir = tempDir(t)
  const file = await openLargeFile(entry, optionsIn(dir, 50))
  await fill(file, 1)
  file.add({ offset: 50, length: 50, crc32: 1, check: 'size' })
  await assert.rejects(file.finish(join(dir, 'k'), finish), { code: 'INTEGRITY' })
  assert.deepEqual(readdirSync(dir), [])
})

test('ranges without a sum are kept after a kill, and fetched again after a reboot', async (t) => {
  const dir = tempDir(t)
  const plain = { ...entry, crc32: undefined }
  const first = await openLargeFile(plain, optionsIn(dir, 10))
  await fill(first, 2)
  const late = first.todo()[0]
  assert.ok(late)
  first.add({ ...late, crc32: undefined, check: 'size' })
  first.close()
  const same = await openLargeFile(plain, optionsIn(dir, 10))
  assert.equal(same.todo()[0]?.offset, 30)
  assert.equal(partialBytes(plain, optionsIn(dir, 10)), 30)
  same.close()
  // Nor does anybody count on them: the space they have on the disk may be none.
  for (const boot of ['two', '']) assert.equal(partialBytes(plain, { ...optionsIn(dir, 10), boot }), 20)
  const other = await openLargeFile(plain, { ...optionsIn(dir, 10), boot: 'two' })
  assert.equal(other.todo()[0]?.offset, 20)
  await other.discard()
})

test('sums are wanted some seconds after a file has begun; at once where it has one, or boots have no name', async (t) => {
  const plain = { ...entry, crc32: undefined }
  const options = { ...optionsIn(tempDir(t), 10), unsummedMs: 60_000 }
  const before = monotonicMs()
  const files = [
    await openLargeFile(plain, options),
    await openLargeFile(entry, options),
    await openLargeFile(plain, { ...options, boot: '' }),
  ]
  const [late = 0, ...now] = files.map(({ sumFrom }) => sumFrom)
  assert.ok(late >= before + 60_000 && late <= monotonicMs() + 60_000)
  assert.deepEqual(now, [0, 0])
  for (const file of files) file.close()
})
