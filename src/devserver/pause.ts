import type { EventEmitter } from 'node:events'

/** Waits so many ms, or until the connection closes. */
export function pause(ms: number, connection: EventEmitter): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      connection.removeListener('close', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    connection.once('close', done)
  })
}
