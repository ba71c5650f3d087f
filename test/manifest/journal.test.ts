import assert from 'node:assert/strict'
import { appendFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readJournal, resumeJournal, startJournal } from '../../src/manifest/journal.ts'
import { tempDir } from '../support/tmp.ts'

const identity = { key: 'a\nb', size: 25, etag: '"x"' }
const range = (offset: number, length = 10) => ({ offset, length, crc32: 0xdeadbeef, check: 'size' })

test('what was journaled is there again, with the boot it was written in', async (t) => {
  const path = join(tempDir(t), 'j')
  const journal = await startJournal(path, identity, { boot: 'b1' })
  journal.add(range(10))
  journal.add(range(20, 5))
  journal.close()
  const again = resumeJournal(path, identity)
  assert.deepEqual([...(again?.done.values() ?? [])], [range(10), range(20, 5)])
  assert.equal(again?.boot, 'b1')
  again?.close()
})

test('a range without a sum is there again without one', async (t) => {
  const path = join(tempDir(t), 'j')
  const journal = await startJournal(path, identity, { boot: 'b1' })
  const bare = { ...range(0), crc32: undefined }
  journal.add(bare)
  journal.add(range(10))
  journal.close()
  assert.deepEqual([...(readJournal(path, identity)?.done.values() ?? [])], [bare, range(10)])
})

test('a journal cut at any byte keeps the whole lines before the cut, and can be added to', async (t) => {
  const path = join(tempDir(t), 'j')
  const journal = await startJournal(path, identity, { boot: 'b1' })
  const header = readFileSync(path).length
  journal.add(range(0))
  const one = readFileSync(path).length
  journal.add(range(10))
  journal.close()
  const whole = readFileSync(path)
  for (let cut = 0; cut <= whole.length; cut++) {
    writeFileSync(path, whole)
    truncateSync(path, cut)
    const again = resumeJournal(path, identity)
    // A line without its newline is whole all the same: its CRC says so.
    if (cut < header - 1) assert.equal(again, undefined)
    else assert.equal(again?.done.size, cut >= whole.length - 1 ? 2 : cut >= one - 1 ? 1 : 0)
    again?.add(range(20, 5))
    again?.close()
    const third = resumeJournal(path, identity)
    if (again) assert.ok(third?.done.has(20))
    third?.close()
  }
})

test('a journal of another object, size or ETag is no journal; a forged line, or one that overlaps, is dropped', async (t) => {
  const path = join(tempDir(t), 'j')
  const journal = await startJournal(path, identity, { boot: 'b1', done: [range(0)] })
  journal.close()
  for (const other of [{ key: 'b' }, { size: 26 }, { etag: '"y"' }]) {
    assert.equal(resumeJournal(path, { ...identity, ...other }), undefined)
  }
  appendFileSync(path, '[10,10,"deadbeef","size"] 00000000\nnonsense\n')
  const again = resumeJournal(path, identity)
  assert.deepEqual([...(again?.done.keys() ?? [])], [0])
  for (const wrong of [range(5), range(20, 6), range(-5), range(12, 0), range(24.5, 0.5)]) again?.add(wrong)
  again?.add(range(10))
  again?.close()
  const third = resumeJournal(path, identity)
  assert.deepEqual([...(third?.done.keys() ?? [])], [0, 10])
  third?.close()
})

test('a question leaves a journal as it is, torn line and all', async (t) => {
  const path = join(tempDir(t), 'j')
  const journal = await startJournal(path, identity, { boot: 'b1', done: [range(0)] })
  journal.add(range(10))
  journal.close()
  truncateSync(path, readFileSync(path).length - 3)
  const before = readFileSync(path)
  assert.deepEqual([...(readJournal(path, identity)?.done.keys() ?? [])], [0])
  assert.ok(readFileSync(path).equals(before))
})
