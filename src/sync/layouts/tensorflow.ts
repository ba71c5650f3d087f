import { posix } from 'node:path'
import { type FileRecord, type FolderRecord, foldersOf, joinPath } from '../scan-tree.ts'
import type { Candidate, Judgement, Layout, LayoutView } from './layout.ts'
import { stepOf } from './names.ts'
import { checkpointPaths, encodeCheckpointState } from './tensorflow-state.ts'

/** Footer magic of the table format that `.index` files are written in (little-endian 0xdb4775248b80fb57). */
const MAGIC = Buffer.from('57fb808b247547db', 'hex')
/** bytes; a `checkpoint` file lists a few hundred names at most */
const MAX_STATE = 1024 * 1024
const DATA = /^(.+)\.data-(\d{5})-of-(\d{5})$/
const TRACE = /^(checkpoint|.+\.index|.+\.data-\d{5}-of-\d{5}(\.tempstate.*)?)$/

/**
 * tf.train.Checkpoint and CheckpointManager (and TF1's Saver). Order of writing: data shards are renamed into
 * place, then `.index`, then `checkpoint` (atomically). N is complete when `checkpoint` lists it, its index is
 * whole and all its data shards are there. Temporary names (`*_temp*`, `*.tempstate*`) match none of this.
 */
export const tensorflow: Layout = {
  name: 'tensorflow',

  async claims({ tree }) {
    for (const folder of foldersOf(tree.root)) {
      // A SavedModel's variables/ has an index and data too, but is no training checkpoint.
      if (folder.path.split('/').at(-1) === 'variables') continue
      for (const name of folder.files.keys()) {
        if (TRACE.test(name) && (name !== 'checkpoint' || hasIndex(folder))) return true
      }
    }
    return false
  },

  async judge(view) {
    const found: Judgement = { candidates: [], waiting: [] }
    for (const folder of foldersOf(view.tree.root)) await judgeFolder(folder, view, found)
    return found
  },
}

async function judgeFolder(folder: FolderRecord, view: LayoutView, found: Judgement): Promise<void> {
  const state = folder.files.get('checkpoint')
  if (state === undefined || state.symlink !== undefined) {
    for (const name of folder.files.keys()) {
      if (name.endsWith('.index') && shardsOf(folder, name.slice(0, -6)).found.length > 0) {
        found.waiting.push({ name: joinPath(folder.path, name), why: 'no `checkpoint` file lists it' })
      }
    }
    return
  }
  const statePath = joinPath(folder.path, 'checkpoint')
  const bytes = await view.read.whole(statePath, state, MAX_STATE)
  const listed = bytes && checkpointPaths(bytes)
  if (bytes === undefined || listed === undefined) return
  for (const [rank, name] of listed.all.entries()) {
    const prefix = withinFolder(name, posix.join(view.dir, folder.path))
    if (prefix === undefined) continue
    const files = await completeFiles(folder, prefix, view, found)
    if (files === undefined) continue
    // The writer's own pointer belongs to the newest. An older one would be restored with a pointer at files that
    // are not restored with it; it gets the pointer that TensorFlow would have written then.
    const newest = name === listed.newest
    const pointer = {
      path: statePath,
      mode: state.mode,
      bytes: newest ? bytes : encodeCheckpointState(name),
    }
    found.candidates.push({
      name: joinPath(folder.path, prefix),
      step: stepOf(prefix),
      files,
      pointers: [pointer],
      links: [],
      folders: [folder],
      listings: [],
      quiet: isOverwritten(files) ? 'settle' : 'rescan',
      rank,
    })
  }
}

async function completeFiles(
  folder: FolderRecord,
  prefix: string,
  view: LayoutView,
  found: Judgement,
): Promise<Candidate['files'] | undefined> {
  const name = joinPath(folder.path, prefix)
  const index = folder.files.get(`${prefix}.index`)
  // Listed and gone: the writer has rotated it away, or restore brought the pointer without the older ones.
  if (index === undefined) return undefined
  const shards = shardsOf(folder, prefix)
  if (!shards.whole) {
    found.waiting.push({ name, why: `${shards.found.length} of its data shards are there` })
    return undefined
  }
  const tail = await view.read.tail(`${name}.index`, index, MAGIC.length)
  if (tail === undefined || !tail.equals(MAGIC)) {
    found.waiting.push({ name, why: 'its .index is cut short' })
    return undefined
  }
  const files: { path: string; record: FileRecord }[] = []
  for (const each of [...shards.found, `${prefix}.index`, `${prefix}.meta`]) {
    const record = folder.files.get(each)
    if (record !== undefined) files.push({ path: joinPath(folder.path, each), record })
  }
  return files
}

/**
 * The index is written after the data, so an older one belongs to an earlier save under the same name (Keras'
 * `save_weights('best')`) that is being replaced just now; or the files were copied in some order.
 */
function isOverwritten(files: Candidate['files']): boolean {
  const index = files.find(({ path }) => path.endsWith('.index'))
  return files.some(({ path, record }) => DATA.test(path) && index && record.mtimeNs > index.record.mtimeNs)
}

/** The data shards of a prefix; `whole` when every i of one and the same n is there. */
function shardsOf(folder: FolderRecord, prefix: string): { found: string[]; whole: boolean } {
  const found: string[] = []
  const counts = new Set<number>()
  for (const name of folder.files.keys()) {
    const match = name.startsWith(`${prefix}.data-`) ? DATA.exec(name) : null
    if (match === null || match[1] !== prefix) continue
    found.push(name)
    counts.add(Number(match[3]))
  }
  const [count] = counts
  return { found: found.sort(), whole: counts.size === 1 && found.length === count }
}

function hasIndex(folder: FolderRecord): boolean {
  for (const name of folder.files.keys()) if (name.endsWith('.index') || DATA.test(name)) return true
  return false
}

/** Names in `checkpoint` are relative to its folder, or absolute when the writer was told so. */
function withinFolder(name: string, folder: string): string | undefined {
  const full = posix.resolve(folder, name)
  return posix.dirname(full) === folder ? posix.basename(full) : undefined
}
