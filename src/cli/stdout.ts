import { Writable } from 'node:stream'

/** stdout, for results only. A reader that went away (`| head`) is no error: writing just ends. */
export interface Output {
  readonly closed: boolean
  line(text: string): void
  json(line: Readonly<Record<string, unknown>>): void
  /** For raw bytes, with backpressure. Never closes the process's stdout; fails with EPIPE when the reader went away. */
  bytes(): Writable
  /** Everything written has left the process, or can't any more. */
  flushed(): Promise<void>
}

export function createOutput(stream: NodeJS.WriteStream, onClosed: () => void): Output {
  let closed = false
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (closed) return
    closed = true
    if (error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED') onClosed()
    else throw error
  })
  const write = (text: string): void => {
    if (!closed) stream.write(text)
  }
  return {
    get closed() {
      return closed
    },
    line: (text) => write(`${text}\n`),
    json: (line) => write(`${JSON.stringify(line)}\n`),
    bytes: () =>
      new Writable({
        highWaterMark: 1 << 20,
        write(chunk: Buffer, _encoding, done) {
          stream.write(chunk, (error) => done(error ?? null))
        },
      }),
    async flushed() {
      if (!closed) await written(stream)
    },
  }
}

/** All that the stream was given has left the process, or can't any more. */
export function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.writableLength === 0) resolve()
    else stream.write('', () => resolve())
  })
}
