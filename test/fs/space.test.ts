import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filesystemOf, freeSpace, unfitForCache } from '../../src/fs/space.ts'
import { tempDir } from '../support/tmp.ts'

test('free space is told in bytes and inodes of the filesystem that holds the path', async (t) => {
  const space = await freeSpace(tempDir(t))
  assert.ok(space.bytes > 0 && space.bytes <= space.total)
  assert.ok(space.inodes > 0 && space.block >= 512)
  await assert.rejects(freeSpace('/no/such/folder'), { code: 'ENOENT' })
})

test('network and overlay filesystems are known by name, local ones are fit', async (t) => {
  assert.equal(unfitForCache(0x6969), 'NFS')
  assert.equal(unfitForCache(0x0bd00bd0), 'Lustre')
  assert.equal(unfitForCache(0x794c7630), 'overlay')
  assert.equal(unfitForCache(0xff534d42 | 0), 'CIFS', 'a field read as a signed number')
  assert.equal(unfitForCache(0xef53), undefined)
  // Whatever it is here: the lookup itself works, and an absent folder is an error.
  await filesystemOf(tempDir(t))
  await assert.rejects(filesystemOf('/no/such/folder'), { code: 'ENOENT' })
})
