import * as fs from 'node:fs'
import { promisify } from 'node:util'

const statFile = promisify(fs.stat)
const fstatFile = promisify(fs.fstat)

const MAX_IDLE = 64

/** A file that is kept open for the next part of it. */
export interface KeptFile {
  readonly path: string
  readonly fd: number
  readonly ino: number
  users: number
  /** Its name belongs to another file by now. */
  stale: boolean
}

export interface KeptFiles {
  /** The file as it is now under its name: a temporary file that was made anew is not the one that was open. */
  borrow(path: string): Promise<KeptFile>
  giveBack(file: KeptFile): Promise<void>
  closeIdle(): Promise<void>
}

/** Files that are written part by part stay open between the parts, as many as MAX_IDLE while nobody uses them. */
export function keepFiles(disk: {
  run<T>(path: string, operation: () => Promise<T>): Promise<T>
  open(path: string, flags: string): Promise<number>
  closeQuietly(path: string, fd: number): Promise<void>
}): KeptFiles {
  const files = new Map<string, KeptFile>()
  const opening = new Map<string, Promise<KeptFile>>()
  const open = async (path: string): Promise<KeptFile> => {
    const fd = await disk.open(path, 'r+')
    let opened: fs.Stats
    try {
      opened = await disk.run(path, () => fstatFile(fd))
    } catch (error) {
      void disk.closeQuietly(path, fd)
      throw error
    }
    const file = { path, fd, ino: opened.ino, users: 0, stale: false }
    const other = files.get(path)
    if (other !== undefined) other.stale = true
    files.set(path, file)
    if (other !== undefined && other.users === 0) await disk.closeQuietly(path, other.fd)
    return file
  }
  const use = (file: KeptFile): KeptFile => {
    files.delete(file.path)
    files.set(file.path, file)
    file.users++
    return file
  }
  return {
    async borrow(path) {
      for (;;) {
        const { ino } = await disk.run(path, () => statFile(path))
        const known = files.get(path)
        if (known !== undefined && known.ino === ino) return use(known)
        // All ranges of a file begin at once: one of them opens it.
        const begun = opening.get(path) ?? open(path).finally(() => opening.delete(path))
        opening.set(path, begun)
        const file = await begun
        if (file.ino === ino && files.get(path) === file) return use(file)
      }
    },
    async giveBack(file) {
      file.users--
      if (file.stale && file.users === 0) await disk.closeQuietly(file.path, file.fd)
      for (const [path, idle] of files) {
        if (files.size <= MAX_IDLE) break
        if (idle.users > 0) continue
        files.delete(path)
        await disk.closeQuietly(path, idle.fd)
      }
    },
    async closeIdle() {
      for (const [path, file] of files) {
        if (file.users > 0) continue
        files.delete(path)
        await disk.closeQuietly(path, file.fd)
      }
    },
  }
}
