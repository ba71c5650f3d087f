import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { isLongshoreError } from '../../src/errors.ts'
import { readListing, writeListing } from '../../src/preload/listing.ts'
import { scanNeed, scanVersion } from '../../src/preload/scan.ts'
import { prefixVersion } from '../../src/preload/version.ts'
import type { ListedObject } from '../../src/s3/store.ts'
import { tempDir } from '../support/tmp.ts'

const object = (key: string, size = 3, etag = '"e"', storageClass?: string): ListedObject => ({
  key,
  size,
  etag,
  modified: 0,
  storageClass,
})

/** In pages of three. */
async function* stream(objects: readonly ListedObject[]): AsyncGenerator<ListedObject[]> {
  for (let at = 0; at < objects.length; at += 3) yield objects.slice(at, at + 3)
}

const options = (dir: string, memory?: number) => ({
  url: 's3://b/p/',
  prefix: 'p/',
  to: join(dir, 'listing'),
  dir,
  memory,
})

test('the digest does not depend on the order of the listing, and the file is sorted by bytes', async (t) => {
  const dir = tempDir(t)
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).map((s) => s.replaceAll('/', '_')),
        {
          maxLength: 60,
        },
      ),
      fc.nat(),
      async (names, seed) => {
        const objects = names.map((n, i) => object(`p/${n}`, i + 1, `"${n.length}"`))
        const shuffled = objects.toSorted(
          (a, b) => ((a.size * 7919 + seed) % 101) - ((b.size * 7919 + seed) % 101),
        )
        const one = await writeListing(stream(objects), options(dir))
        const two = await writeListing(stream(shuffled), options(dir, 512))
        assert.deepEqual(two, one)
        const read: string[] = []
        for await (const file of readListing(join(dir, 'listing'))) read.push(file.name)
        assert.deepEqual(
          read.map((n) => Buffer.from(n)),
          names.map((n) => Buffer.from(n)).sort(Buffer.compare),
        )
      },
    ),
    { numRuns: 30 },
  )
})

test('the digest changes with a name, a size or an ETag, and with nothing else', async (t) => {
  const dir = tempDir(t)
  const digest = async (...objects: ListedObject[]) =>
    (await writeListing(stream(objects), options(dir))).digest
  const base = await digest(object('p/a'), object('p/b'))
  assert.equal(await digest(object('p/a'), { ...object('p/b'), modified: 9 }, object('p/x/', 0)), base)
  assert.notEqual(await digest(object('p/a'), object('p/c')), base)
  assert.notEqual(await digest(object('p/a'), object('p/b', 4)), base)
  assert.notEqual(await digest(object('p/a'), object('p/b', 3, '"f"')), base)
})

test('keys `a` and `a/b` are refused, naming both, even with other keys between them', async (t) => {
  const dir = tempDir(t)
  for (const between of [[], ['p/a-b', 'p/a.b']]) {
    await assert.rejects(
      writeListing(stream(['p/a', ...between, 'p/a/b'].map((k) => object(k))), options(dir)),
      (error) => isLongshoreError(error, 'KEY_CONFLICT') && /"a" and "a\/b"/.test(error.message),
    )
    assert.deepEqual(await readdir(dir), [])
  }
  await writeListing(
    stream([object('p/a'), object('p/a/', 0), object('p/ab/c'), object('p/a-/c')]),
    options(dir),
  )
})

test('folder markers are left out; an object with bytes under such a name is kept', async (t) => {
  const dir = tempDir(t)
  const { objects } = await writeListing(
    stream([object('p/', 0), object('p/x/', 0), object('p/y/', 5), object('p/empty', 0)]),
    options(dir),
  )
  assert.equal(objects, 2)
})

test('a conflict is found exactly when one name is a folder of another', async (t) => {
  const dir = tempDir(t)
  const segment = fc.constantFrom('a', 'b', 'a-', 'a.b', 'ä')
  const name = fc.array(segment, { minLength: 1, maxLength: 3 }).map((s) => s.join('/'))
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(name, { maxLength: 8 }), async (names) => {
      const clash = names.some((a) => names.some((b) => b.startsWith(`${a}/`)))
      const outcome = writeListing(stream(names.map((n) => object(`p/${n}`))), options(dir))
      if (clash) await assert.rejects(outcome, (e) => isLongshoreError(e, 'KEY_CONFLICT'))
      else await outcome
    }),
    { numRuns: 150 },
  )
})

test('archived objects are named with their count before any transfer, unless they are left out', async (t) => {
  const dir = tempDir(t)
  const objects = [object('p/a'), object('p/b', 3, '"e"', 'GLACIER'), object('p/c', 3, '"e"', 'DEEP_ARCHIVE')]
  const instant = object('p/d', 3, '"e"', 'GLACIER_IR')
  const { digest } = await writeListing(stream([...objects, instant]), options(dir))
  const version = prefixVersion(digest, join(dir, 'listing'), 's3://b/p/')
  const all = { include: [], exclude: [] }
  await assert.rejects(
    scanVersion(version, { selection: all }),
    (e) => isLongshoreError(e, 'ARCHIVED') && /s3:\/\/b\/p\/b .*GLACIER.*1 more/.test(e.message),
  )
  const scan = await scanVersion(version, { selection: { include: [], exclude: ['b', 'c'] } })
  assert.deepEqual(scan.all, { files: 2, bytes: 6 })
})

test('the digest is that of a JSON line an object, and what is archived or not makes no other version', async (t) => {
  const dir = tempDir(t)
  const names = Array.from({ length: 2500 }, (_, i) => `${i % 7}/ä"${(i * 7919) % 2500}`)
  const plain = names.map((name, i) => object(`p/${name}`, i, `"${i}"`))
  const frozen = plain.map((one, i) => (i % 900 === 5 ? { ...one, storageClass: 'GLACIER' } : one))
  const expected = createHash('sha256')
  for (const { key, size, etag } of plain.toSorted((a, b) =>
    Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)),
  ))
    expected.update(`${JSON.stringify([key.slice(2), size, etag])}\n`)
  const digest = expected.digest('hex')
  const sum = { objects: 2500, bytes: (2500 * 2499) / 2 }
  assert.deepEqual(await writeListing(stream(plain), options(dir)), { digest, ...sum, archived: 0 })
  assert.deepEqual(await writeListing(stream(frozen), options(dir, 8192)), { digest, ...sum, archived: 3 })
  const read: string[] = []
  for await (const { name, archived } of readListing(join(dir, 'listing'))) if (archived) read.push(name)
  assert.deepEqual(read.sort(), [names[5], names[905], names[1805]].sort())
})

test('what a listing summed up is what a walk over it finds', async (t) => {
  const dir = tempDir(t)
  const {
    digest,
    objects: files,
    bytes,
  } = await writeListing(stream([object('p/a', 5), object('p/b/c', 0), object('p/d', 9)]), options(dir))
  const version = prefixVersion(digest, join(dir, 'listing'), 's3://b/p/')
  for (const selection of [
    { include: [], exclude: [] },
    { include: [], exclude: ['d'] },
  ]) {
    const { all, kept, todo } = await scanVersion(version, { selection })
    assert.deepEqual(await scanNeed({ ...version, total: { files, bytes } }, { selection }), {
      ...(selection.exclude.length === 0 ? {} : await scanVersion(version, { selection })),
      ...{ all, kept, todo },
    })
  }
})
