import type { Socket } from 'node:net'

/** Waits so many ms, or until the connection closes. */
export function pause(ms: number, connection: Socket): Promise<void> {
  if (connection.destroyed) return Promise.resolve()
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
