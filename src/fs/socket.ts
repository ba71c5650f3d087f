import { chmod, open, unlink } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { errorCode } from './error-code.ts'

/** A unix socket that listens only to show that its process lives. */
export interface Listening {
  path: string
  /** Stops listening, ends every connection, removes `path` if it is still there. Idempotent. */
  close(): Promise<void>
}

/** bytes; sockaddr_un takes 107 and a NUL. A longer path is reached through an open folder. */
const SOCKET_PATH_BYTES = 100

/** Binds and listens at `dir/name`, which must not exist. Anyone who can reach the folder may connect. */
export async function listenAt(dir: string, name: string): Promise<Listening> {
  const path = join(dir, name)
  const connections = new Set<Socket>()
  const server = createServer((socket) => {
    connections.add(socket)
    socket.unref()
    socket.on('error', () => {})
    socket.on('close', () => connections.delete(socket))
    // Unread bytes would hide the other side's end.
    socket.resume()
  })
  await withShortPath(dir, name, (address) => {
    return new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(address, () => resolve())
    })
  })
  server.on('error', () => {})
  server.unref()
  const close = async (): Promise<void> => {
    for (const socket of connections) socket.destroy()
    await new Promise<void>((resolve) => server.close(() => resolve()))
    await unlink(path).catch(() => {})
  }
  try {
    // Connecting takes write permission on the socket; who may is for the folder to say.
    await chmod(path, 0o666)
  } catch (error) {
    await close()
    throw error
  }
  return { path, close }
}

/**
 * An open connection to a living owner; 'dead' nobody listens any more; 'gone' no such name (or it went away
 * under our hands: look again); 'busy' alive, but its queue is full.
 */
export async function probeSocket(dir: string, name: string): Promise<Socket | 'dead' | 'gone' | 'busy'> {
  try {
    return await withShortPath(dir, name, (address) => {
      return new Promise<Socket>((resolve, reject) => {
        const socket = connect(address)
        socket.once('error', reject)
        socket.once('connect', () => {
          socket.on('error', () => {})
          socket.resume()
          resolve(socket)
        })
      })
    })
  } catch (error) {
    const code = errorCode(error) ?? ''
    if (['ECONNREFUSED', 'ENOTSOCK', 'EPROTOTYPE'].includes(code)) return 'dead'
    if (['ENOENT', 'ECONNRESET', 'EPIPE'].includes(code)) return 'gone'
    if (code === 'EAGAIN') return 'busy'
    throw error
  }
}

/** Resolves when the other side is gone; rejects with the signal's reason. The connection is closed either way. */
export function waitForEnd(socket: Socket, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      socket.destroy()
      reject(signal?.reason)
    }
    if (signal?.aborted) return onAbort()
    if (socket.destroyed) return resolve()
    signal?.addEventListener('abort', onAbort, { once: true })
    socket.once('end', () => socket.destroy())
    socket.once('close', () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
  })
}

async function withShortPath<T>(dir: string, name: string, use: (address: string) => Promise<T>): Promise<T> {
  const path = join(dir, name)
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES) return use(path)
  const folder = await open(dir, 'r')
  try {
    return await use(`/proc/self/fd/${folder.fd}/${name}`)
  } finally {
    await folder.close()
  }
}
