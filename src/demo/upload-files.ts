import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ObjectStore } from '../s3/store.ts'
import type { Engine, Transfer } from '../transfer/types.ts'

/** Puts every file below `dir` into the store, under `prefix`. */
export async function uploadFiles(
  dir: string,
  options: {
    engine: Engine
    store: ObjectStore
    prefix: string
    signal: AbortSignal
    onFound(bytes: number): void
    onDone(bytes: number): void
  },
): Promise<{ files: number; bytes: number }> {
  const { engine, store, prefix, signal, onFound, onDone } = options
  const to = engine.attach(store)
  const total = { files: 0, bytes: 0 }
  async function* plan(): AsyncGenerator<Transfer> {
    for await (const { key, path, size } of filesBelow(dir)) {
      total.files++
      total.bytes += size
      onFound(size)
      yield {
        id: total.files,
        length: size,
        pieces: size === 0 ? [] : [{ kind: 'file', at: 0, length: size, path, offset: 0 }],
        to: { kind: 'object', store: to, key: prefix + key, absent: false },
      }
    }
  }
  await engine.run(plan(), {
    signal,
    onResult(result) {
      if (!result.ok) throw result.error
      onDone(result.bytes)
    },
  })
  return total
}

/** Regular files below `dir`, with their relative '/'-separated paths. */
export async function* filesBelow(
  dir: string,
  base = '',
): AsyncGenerator<{ key: string; path: string; size: number }> {
  for (const entry of await readdir(join(dir, base), { withFileTypes: true })) {
    const key = base + entry.name
    if (entry.isDirectory()) yield* filesBelow(dir, `${key}/`)
    else if (entry.isFile()) yield { key, path: join(dir, key), size: (await stat(join(dir, key))).size }
  }
}

/** Everything below `dir` that is no folder: files, links, pipes. */
export async function countFiles(dir: string): Promise<number> {
  let count = 0
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    if (!entry.isDirectory()) count++
    else if (entry.name !== '.longshore') count += await countFiles(join(dir, entry.name))
  }
  return count
}
