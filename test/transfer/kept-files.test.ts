import assert from 'node:assert/strict'
import { closeSync, openSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { keepFiles } from '../../src/transfer/kept-files.ts'
import { tempDir } from '../support/tmp.ts'

test('a file that was made anew while the old one was being opened is opened again', async (t) => {
  const path = join(tempDir(t), 'part')
  writeFileSync(path, 'old')
  let open = (): void => {}
  const held = new Promise<void>((resolve) => {
    open = resolve
  })
  let opened = 0
  const kept = keepFiles({
    run: (_path, operation) => operation(),
    async open(name, flags) {
      const fd = openSync(name, flags)
      if (++opened === 1) await held
      return fd
    },
    closeQuietly: async (_path, fd) => closeSync(fd),
  })
  const first = kept.borrow(path)
  while (opened === 0) await sleep(1)
  writeFileSync(`${path}.new`, 'new')
  renameSync(`${path}.new`, path)
  const second = kept.borrow(path)
  await sleep(20)
  open()
  assert.equal((await second).ino, statSync(path).ino)
  for (const file of [await first, await second]) await kept.giveBack(file)
  await kept.closeIdle()
})
