import { connect as connectTcp, isIP, type OnReadOpts, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext, type TLSSocket } from 'node:tls'
import type { WireTarget } from './types.ts'

/** Opens sockets to one server. */
export interface Dialler {
  /** The event that says that requests can be sent. */
  readonly openedBy: 'connect' | 'secureConnect'
  open(address: string, onread: OnReadOpts): Socket
}

export function openDialler(target: WireTarget): Dialler {
  const { port } = target
  if (!target.secure) {
    return {
      openedBy: 'connect',
      open: (host, onread) => connectTcp({ host, port, onread, noDelay: true, autoSelectFamily: false }),
    }
  }
  const { host: name, rejectUnauthorized } = target
  // Made once: it parses all the certificates.
  const secureContext = createSecureContext(target.ca === undefined ? {} : { ca: [...target.ca] })
  // A TLS session saves the next connection half of its handshake. It was checked with the name it is used for.
  let session: Buffer | undefined
  return {
    openedBy: 'secureConnect',
    open(host, onread) {
      const options = {
        host,
        port,
        onread,
        secureContext,
        rejectUnauthorized,
        // Whatever the address, the certificate must be the name's; an IP address is never sent as a name.
        servername: isIP(name) === 0 ? name : '',
        ALPNProtocols: ['http/1.1'],
        autoSelectFamily: false,
        ...(session === undefined ? {} : { session }),
      }
      const socket: TLSSocket = connectTls(options)
      socket.setNoDelay(true)
      socket.on('session', (fresh) => {
        if (socket.authorized || !rejectUnauthorized) session = fresh
      })
      return socket
    },
  }
}
