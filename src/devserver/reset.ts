import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

/** TCP connections under TLS ones, by the client's port. */
const under = new Map<number, Socket>()

/** Lets `reset` find them: node's TLSSocket can't send an RST itself, and asked to, throws. */
export function watchConnections(server: Server): void {
  server.on('connection', (socket: Socket) => {
    const { remotePort } = socket
    if (remotePort === undefined || socket instanceof TLSSocket) return
    under.set(remotePort, socket)
    socket.once('close', () => {
      if (under.get(remotePort) === socket) under.delete(remotePort)
    })
  })
}

/** RST: what was not yet sent is lost, the peer sees ECONNRESET. */
export function reset(socket: Socket | null): void {
  if (socket === null || socket.destroyed) return
  if (!(socket instanceof TLSSocket)) socket.resetAndDestroy()
  // Not under node's HTTP parser, which would list the connection again after it has gone.
  else setImmediate(() => under.get(socket.remotePort ?? 0)?.resetAndDestroy())
}
