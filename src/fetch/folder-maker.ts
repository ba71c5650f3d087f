import { type Modes, makeFolder } from '../fs/make-folder.ts'

/** Folders remembered as made: enough for a walk in sorted order, whatever the number of folders. */
const KNOWN_FOLDERS = 4096

/** Makes the folders of a walk, each once. undefined: it was made before, and there is nothing to wait for. */
export function createFolderMaker(owner: { modes: Modes }): (path: string) => Promise<void> | undefined {
  let known = new Set<string>()
  let last = ''
  const make = async (path: string): Promise<void> => {
    await makeFolder(owner, path)
    if (known.size >= KNOWN_FOLDERS) known = new Set()
    known.add(path)
    last = path
  }
  return (path) => {
    if (path === last) return undefined
    if (!known.has(path)) return make(path)
    last = path
    return undefined
  }
}
