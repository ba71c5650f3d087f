// A contender of its own process: takes the lock, adds one to a counter file without any other care, lets go.
//   lock-child.ts DIR NAME COUNTER ROUNDS   or   lock-child.ts DIR NAME hold
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { acquireLock } from '../../src/fs/lock.ts'

const [dir = '', name = '', counter = '', rounds = '1'] = process.argv.slice(2)
if (counter === 'hold') {
  await acquireLock(dir, name, { wait: true })
  process.stdout.write('held\n')
  setInterval(() => {}, 1000)
} else {
  for (let i = 0; i < Number(rounds); i++) {
    const lock = await acquireLock(dir, name, { wait: true })
    const before = Number(readFileSync(counter, 'utf8'))
    await sleep(Math.random() * 3)
    writeFileSync(counter, String(before + 1))
    await lock?.release()
  }
}
