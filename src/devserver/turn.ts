import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { firstEvent } from '../first-event.ts'

/**
 * Waits until the answers before this one on its connection are out. False: the connection has gone.
 *
 * Clients pipeline, and an answer that has to queue has no socket yet. Node keeps what is written to it, but when the
 * connection dies it calls none of the callbacks of those writes and emits no 'close' on the answer (Node 20 and 22):
 * who waits for either waits for ever. Nor is there a socket yet that a fault could cut.
 */
export async function turn(response: ServerResponse, connection: Socket): Promise<boolean> {
  if (response.socket === null && !connection.destroyed)
    await firstEvent([response, 'socket'], [connection, 'close'])
  return !connection.destroyed
}
