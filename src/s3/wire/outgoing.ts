import type { Socket } from 'node:net'

/** A TLS socket keeps a copy of all it is given: a slice at a time, and only when the one before is gone. */
const SLICE_BYTES = 256 * 1024

/** The body of the request that a connection sends. One a connection, used again. */
export class Outgoing {
  private readonly socket: Socket
  /** A slice is gone, and another may follow; false: nothing is sent on this connection any more. */
  private readonly moved: () => boolean
  private body: Uint8Array | undefined
  /** Bytes that the socket was given. */
  private given = 0
  private gone: (() => void) | undefined
  /** The last bytes that the socket was given are not gone yet. */
  busy = false

  constructor(socket: Socket, moved: () => boolean) {
    this.socket = socket
    this.moved = moved
  }

  /** undefined: the request has none. */
  begin(body: Uint8Array | undefined): void {
    this.body = body
    this.given = 0
    if (body !== undefined) this.push()
  }

  /** Not all of it was given to the socket. */
  get halfSent(): boolean {
    return this.body !== undefined && this.given < this.body.length
  }

  /** Only while it is busy with the last of it: called when no byte is the socket's any more. */
  whenGone(gone: () => void): void {
    this.gone = gone
  }

  /** The next slice, when the last one is gone. */
  private readonly push = (error?: Error | null): void => {
    this.busy = false
    const { body, gone } = this
    if (error || body === undefined || !this.moved()) return
    if (this.given < body.length) {
      const slice = body.subarray(this.given, this.given + SLICE_BYTES)
      this.given += slice.length
      this.busy = true
      this.socket.write(slice, this.push)
      return
    }
    this.body = undefined
    this.gone = undefined
    gone?.()
  }
}
