// A server's listings as the tests of listParallel see them: by one order or another, with StartAfter or without.
import assert from 'node:assert/strict'
import { LongshoreError } from '../../src/errors.ts'
import { compareKeys } from '../../src/s3/list-borders.ts'
import { listParallel, type ParallelOptions } from '../../src/s3/list-parallel.ts'
import type { FetchedPage, PageRequest } from '../../src/s3/list-s3.ts'

export type Order = 'bytes' | 'folders' | 'hash' | 'utf16'

export interface Model {
  keys: Set<string>
  order: Order
  ignoresStartAfter: boolean
  /** Keys come and go while it is listed. */
  changes: boolean
  pageSize: number
  requests: number
  inFlight: number
  peak: number
  /** Waits, changes keys, or fails a request. */
  turn: (request: PageRequest) => Promise<void>
}

const tree = (key: string) => key.replaceAll('/', '\0')
export const hashed = (key: string) => {
  let hash = 0
  for (const letter of key) hash = (Math.imul(hash, 31) + letter.charCodeAt(0)) >>> 0
  return hash
}
const compares: Record<Order, (a: string, b: string) => number> = {
  bytes: compareKeys,
  folders: (a, b) => compareKeys(tree(a), tree(b)),
  hash: (a, b) => hashed(a) - hashed(b) || compareKeys(a, b),
  // As strings compare in Java and .NET.
  utf16: (a, b) => (a < b ? -1 : a > b ? 1 : 0),
}

export function model(keys: Iterable<string>, changed: Partial<Model> = {}): Model {
  const base = {
    order: 'bytes' as const,
    ignoresStartAfter: false,
    changes: false,
    pageSize: 10,
    turn: async () => {},
  }
  return { keys: new Set(keys), requests: 0, inFlight: 0, peak: 0, ...base, ...changed }
}

/** What a server would answer, by its own order, of what is there when the request arrives. */
export async function answer(server: Model, request: PageRequest): Promise<FetchedPage> {
  server.requests++
  server.peak = Math.max(server.peak, ++server.inFlight)
  try {
    request.signal?.throwIfAborted()
    request.onRequest?.('LIST')
    await server.turn(request)
    request.signal?.throwIfAborted()
  } finally {
    server.inFlight--
  }
  const { prefix, delimiter, startAfter, token, maxKeys = server.pageSize } = request
  const compare = compares[server.order]
  const after = token ?? (server.ignoresStartAfter ? undefined : startAfter)
  const sorted = delimiter === undefined ? inOrderOf(server) : levelOf(server, prefix, compare)
  let from = 0
  for (let to = sorted.length; after !== undefined && from < to; ) {
    const middle = (from + to) >> 1
    if (compare(sorted[middle] ?? '', after) > 0) to = middle
    else from = middle + 1
  }
  const page: string[] = []
  for (; from < sorted.length && page.length <= maxKeys; from++) {
    const name = sorted[from] ?? ''
    // As SeaweedFS has it: after a folder's name comes what is after the folder.
    const skipped = server.order === 'folders' && token === undefined && name.startsWith(`${after}/`)
    if (name.startsWith(prefix) && !skipped) page.push(name)
  }
  const more = page.length > maxKeys
  if (more) page.pop()
  const isFolder = (name: string) => delimiter !== undefined && name.indexOf('/', prefix.length) !== -1
  return {
    objects: page.filter((n) => !isFolder(n)).map((key) => ({ key, size: 1, etag: '', modified: 0 })),
    folders: page.filter(isFolder),
    next: more ? page.at(-1) : undefined,
  }
}

const sortedKeys = new WeakMap<Model, string[]>()

function inOrderOf(server: Model): string[] {
  const known = sortedKeys.get(server)
  if (known !== undefined && !server.changes) return known
  const keys = [...server.keys].sort(compares[server.order])
  sortedKeys.set(server, keys)
  return keys
}

function levelOf(server: Model, prefix: string, compare: (a: string, b: string) => number): string[] {
  const names = new Set<string>()
  for (const key of server.keys) {
    const cut = key.startsWith(prefix) ? key.indexOf('/', prefix.length) : -1
    names.add(cut === -1 ? key : key.slice(0, cut + 1))
  }
  return [...names].sort(compare)
}

export async function list(server: Model, options: Partial<ParallelOptions> = {}): Promise<string[]> {
  const found: string[] = []
  const pages = listParallel((request) => answer(server, request), {
    prefix: '',
    ordered: false,
    refuse: (why) => new LongshoreError('SERVER', why),
    ...options,
  })
  for await (const page of pages) found.push(...page.objects.map(({ key }) => key))
  assert.equal(server.inFlight, 0)
  return found
}

/** Answers overtake each other, differently with each seed. */
export function jumble(seed: number): () => Promise<void> {
  let state = seed | 1
  return async () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    for (let i = state % 7; i > 0; i--) await new Promise((resolve) => setImmediate(resolve))
  }
}

export const numbers = (count: number, name: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => name(i))
export const pad = (i: number, width = 6) => String(i).padStart(width, '0')
