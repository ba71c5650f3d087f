import { LongshoreError } from '../../errors.ts'
import { TAR_BLOCK, tarPadding } from './header.ts'

export interface TarMember {
  name: string
  /** bytes of the body */
  size: number
  /** Where its first header block begins (the pax one, if it has one). */
  start: number
  /** Where its body begins. */
  offset: number
}

/** A pax record or a GNU long name is small; anything larger is no header but damage. */
const MAX_EXTRA = 1024 * 1024

/**
 * The regular members of a tar that comes in chunks of any size, in order; bodies are skipped, never held.
 * Understands ustar, pax (`path`, `size`) and GNU long names. A wrong header checksum, or an end in the middle
 * of a member, is INTEGRITY and names the byte; a missing end mark too.
 */
export async function* readTar(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: { path?: string; signal?: AbortSignal } = {},
): AsyncGenerator<TarMember> {
  const { path } = options
  const input = createReader(chunks, options.signal)
  let start = 0
  let extra: { path?: string; size?: number } = {}
  for (;;) {
    const at = input.position()
    const header = await input.take(TAR_BLOCK)
    if (header === undefined) throw damaged(at, 'the archive ends without its end mark', path)
    if (header.every((byte) => byte === 0)) return
    const parsed = parseBlock(header, at, path)
    const { type } = parsed
    const body = extra.size ?? parsed.size
    if (type === 'x' || type === 'L') {
      if (parsed.size > MAX_EXTRA) throw damaged(at, 'a header record of more than 1 MiB', path)
      const data = await input.take(parsed.size)
      if (data === undefined || !(await input.skip(tarPadding(parsed.size)))) {
        throw damaged(at, 'the archive ends in a header', path)
      }
      if (type === 'x') extra = { ...extra, ...parsePax(data, at, path) }
      else extra.path = text(data)
      continue
    }
    const name = extra.path ?? parsed.name
    if (type === '0' || type === '\0' || type === '7')
      yield { name, size: body, start, offset: at + TAR_BLOCK }
    if (!(await input.skip(body + tarPadding(body))))
      throw damaged(at, `the archive ends within ${name}`, path)
    extra = {}
    start = input.position()
  }
}

function parseBlock(header: Buffer, at: number, path: string | undefined) {
  let sum = 8 * 0x20
  for (let i = 0; i < TAR_BLOCK; i++) if (i < 148 || i >= 156) sum += header[i] ?? 0
  if (octal(header, 148, 8) !== sum) throw damaged(at, 'a header whose checksum is wrong', path)
  const size = octal(header, 124, 12)
  if (size === undefined) throw damaged(at, 'a header whose size is no number', path)
  const name = text(header.subarray(0, 100))
  const posix = header.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = posix ? text(header.subarray(345, 500)) : ''
  return {
    type: String.fromCharCode(header[156] ?? 0),
    size,
    name: prefix === '' ? name : `${prefix}/${name}`,
  }
}

function octal(header: Buffer, from: number, length: number): number | undefined {
  const digits = header
    .toString('latin1', from, from + length)
    .replace(/[\0 ]+$/, '')
    .trimStart()
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : undefined
}

/** Up to the first NUL. */
function text(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return bytes.toString('utf8', 0, end === -1 ? bytes.length : end)
}

function parsePax(data: Buffer, at: number, file: string | undefined): { path?: string; size?: number } {
  const found: { path?: string; size?: number } = {}
  for (let from = 0; from < data.length; ) {
    const space = data.indexOf(0x20, from)
    const length = Number(data.toString('latin1', from, space))
    const equals = data.indexOf(0x3d, space)
    if (space === -1 || equals === -1 || !Number.isSafeInteger(length) || length <= space - from) {
      throw damaged(at, 'a pax record that is none', file)
    }
    const keyword = data.toString('utf8', space + 1, equals)
    const value = data.toString('utf8', equals + 1, from + length - 1)
    if (keyword === 'path') found.path = value
    if (keyword === 'size' && /^\d{1,15}$/.test(value)) found.size = Number(value)
    from += length
  }
  return found
}

function createReader(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  signal: AbortSignal | undefined,
) {
  const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
  let held: Buffer = Buffer.alloc(0)
  let position = 0
  const more = async (): Promise<boolean> => {
    signal?.throwIfAborted()
    const next = await iterator.next()
    if (next.done) return false
    const chunk = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength)
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    return true
  }
  return {
    position: () => position,
    async take(length: number): Promise<Buffer | undefined> {
      while (held.length < length) if (!(await more())) return undefined
      const taken = held.subarray(0, length)
      held = held.subarray(length)
      position += length
      return taken
    },
    async skip(length: number): Promise<boolean> {
      let left = length
      for (;;) {
        const step = Math.min(left, held.length)
        held = held.subarray(step)
        position += step
        left -= step
        if (left === 0) return true
        if (!(await more())) return false
      }
    },
  }
}

function damaged(at: number, what: string, path: string | undefined): LongshoreError {
  return new LongshoreError('INTEGRITY', `tar: ${what}, at byte ${at}`, path === undefined ? {} : { path })
}
