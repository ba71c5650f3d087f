import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { keyToPath } from '../fs/key-path.ts'
import type { Cache, DatasetIdentity } from './types.ts'

/** The one folder of longshore's own state at the top of a cache. */
export const STATE_DIR = '.longshore'

/** Folders of the state; each is made by openCache. */
export const STATE_FOLDERS = [
  'datasets',
  'ready',
  'usage',
  'leases',
  'pins',
  'reservations',
  'journals',
  'staging',
  'trash',
  'locks',
] as const

export type StateFolder = (typeof STATE_FOLDERS)[number]

/** 16 hex, stable: the same place, bucket, prefix and digest give the same id on every node. */
export function datasetId({ place, bucket, prefix, digest }: DatasetIdentity): string {
  const text = JSON.stringify([place, bucket, prefix, digest])
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

/**
 * The dataset's folder, relative to the cache: `<place>/<bucket>/<prefix>@<12 hex of the digest>`. Reversible
 * (pathToKey), and never inside another dataset's folder: a prefix with a part that looks like one is escaped.
 */
export function datasetPath({ place, bucket, prefix, digest }: DatasetIdentity): string {
  const parts = keyToPath(prefix.replace(/\/$/, ''), { maxNameBytes: 240 }).split('/')
  const last = parts.pop() ?? ''
  const folders = parts.map((part) => part.replace(/@(?=[0-9a-f]{12}$)/, '%40'))
  const version = `${prefix === '' ? '' : last}@${digest.slice(0, 12)}`
  return join(topName(place), topName(bucket), ...folders, version)
}

/** Absolute path of the dataset's folder. */
export function datasetFolder(cache: Cache, identity: DatasetIdentity): string {
  return join(cache.root, datasetPath(identity))
}

/** PRELOAD's listing and journals of a dataset: removed with it. Made by the one who writes there. */
export function journalFolder(cache: Cache, id: string): string {
  return join(cache.state, 'journals', id)
}

/** Temporary files of a dataset that is being fetched, on the filesystem of its folder: removed with it. */
export function stagingFolder(cache: Cache, id: string): string {
  return join(cache.state, 'staging', id)
}

/**
 * A version's folder while it is made for the first time, in its staging folder: as long as it is here nobody reads
 * it, and it gets its place in one step, whole.
 */
export function treeFolder(cache: Cache, id: string): string {
  return join(stagingFolder(cache, id), 'tree')
}

export function stateFile(cache: Cache, folder: StateFolder, id: string): string {
  return join(cache.state, folder, `${id}.json`)
}

/** One safe name (nested only when over-long): a store escapes its own, so what is safe stays. Never the state folder's. */
function topName(name: string): string {
  const flat = name.replaceAll('/', '%2F')
  const safe = /^\P{Cc}+$/u.test(flat) && Buffer.byteLength(flat) <= 240
  const kept = safe ? flat : keyToPath(flat, { maxNameBytes: 240 })
  return kept.replace(/^[.~]/, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}
