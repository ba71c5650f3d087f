import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const BIN = resolve(import.meta.dirname, '../../../bin/longshore.js')

/** Starts the built tool and ends it with SIGKILL after `ms`. false: it was done before that. */
export async function killedAfter(ms: number, args: string[], env: Record<string, string>): Promise<boolean> {
  const child = spawn(process.execPath, [BIN, ...args], { env: { ...process.env, ...env }, stdio: 'ignore' })
  const ended = new Promise<boolean>((done) => child.once('exit', (_, signal) => done(signal === 'SIGKILL')))
  await Promise.race([sleep(ms, undefined, { ref: false }), ended])
  child.kill('SIGKILL')
  return ended
}
