import * as fs from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { LongshoreError } from '../errors.ts'
import { errorCode } from '../fs/error-code.ts'
import { localError } from '../s3/local-path.ts'

// The callback forms: FileHandles cost twice the CPU, which counts at one file an object.
const openFile = promisify(fs.open)
const closeFile = promisify(fs.close)
const readFile = promisify(fs.read)
const writeFile = promisify(fs.write)
const syncFile = promisify(fs.fsync)
const statFile = promisify(fs.stat)
const fstatFile = promisify(fs.fstat)
const chmodFile = promisify(fs.fchmod)
const renameFile = promisify(fs.rename)
const unlinkFile = promisify(fs.unlink)

const MAX_IDLE = 64
const CROWDED_WAIT_MS = 50
const CROWDED_TRIES = 200

export interface LocalIo {
  /** Fills `into` from a file. A shorter file is SOURCE_CHANGED. */
  read(path: string, offset: number, into: Uint8Array): Promise<void>
  /** All of `bytes` at `offset` of an existing file. */
  writeAt(path: string, offset: number, bytes: Uint8Array): Promise<void>
  /** A whole file: temporary name, synced if `durable`, renamed. */
  writeWhole(
    place: { temp: string; path: string; mode: number; durable: boolean },
    bytes: Uint8Array,
  ): Promise<void>
  /** Closes what is kept open for the next piece of the same file. */
  closeIdle(): Promise<void>
}

/** Reads and writes of local files. An operation that does not return within `stuckMs` is STUCK: a dead disk or NFS. */
export function openLocalIo(options: { stuckMs: number }): LocalIo {
  const files = new Map<string, { fd: number; ino: number; users: number; stale: boolean }>()
  const umask = process.umask()

  /** One operation, watched; too many open files is waited out, once idle ones are closed. */
  const run = async <T>(
    path: string,
    operation: () => Promise<T>,
    undo?: (late: T) => unknown,
  ): Promise<T> => {
    for (let attempt = 1; ; attempt++) {
      const running = operation()
      try {
        return await watched(path, running, options.stuckMs)
      } catch (error) {
        if (undo !== undefined && isStuck(error)) running.then(undo, () => {})
        const crowded = errorCode(error) === 'EMFILE' || errorCode(error) === 'ENFILE'
        if (!crowded || attempt >= CROWDED_TRIES) throw localError(error, path)
        await closeIdle()
        await wait(CROWDED_WAIT_MS)
      }
    }
  }

  /** Watched as well: on a dead disk close() hangs like everything else, and whoever waits for it says nothing. */
  const closeQuietly = async (path: string, fd: number) => {
    await watched(path, closeFile(fd), options.stuckMs).catch(() => {})
  }
  const open = (path: string, flags: string) => run(path, () => openFile(path, flags), closeLate)

  const writeAll = async (path: string, fd: number, bytes: Uint8Array, offset: number) => {
    for (let done = 0; done < bytes.length; ) {
      const at = done
      const { bytesWritten } = await run(path, () => writeFile(fd, bytes, at, bytes.length - at, offset + at))
      done += bytesWritten
    }
  }

  const closeIdle = async () => {
    for (const [path, file] of files) {
      if (file.users > 0) continue
      files.delete(path)
      await closeQuietly(path, file.fd)
    }
  }

  /** The file as it is now under its name: a temporary file that was made anew is not the one that was open. */
  const borrow = async (path: string) => {
    const { ino } = await run(path, () => statFile(path))
    const known = files.get(path)
    if (known !== undefined && known.ino === ino) {
      files.delete(path)
      files.set(path, known)
      known.users++
      return known
    }
    const fd = await open(path, 'r+')
    let opened: fs.Stats
    try {
      opened = await run(path, () => fstatFile(fd))
    } catch (error) {
      void closeQuietly(path, fd)
      throw error
    }
    const file = { fd, ino: opened.ino, users: 1, stale: false }
    const other = files.get(path)
    if (other !== undefined) other.stale = true
    files.set(path, file)
    if (other !== undefined && other.users === 0) await closeQuietly(path, other.fd)
    return file
  }

  const giveBack = async (path: string, file: { fd: number; users: number; stale: boolean }) => {
    file.users--
    if (file.stale && file.users === 0) await closeQuietly(path, file.fd)
    for (const [name, idle] of files) {
      if (files.size <= MAX_IDLE) break
      if (idle.users > 0) continue
      files.delete(name)
      await closeQuietly(name, idle.fd)
    }
  }

  return {
    async read(path, offset, into) {
      const fd = await open(path, 'r')
      try {
        for (let done = 0; done < into.length; ) {
          const at = done
          const { bytesRead } = await run(path, () => readFile(fd, into, at, into.length - at, offset + at))
          if (bytesRead === 0) throw shorter(path, offset + at)
          done += bytesRead
        }
      } catch (error) {
        void closeQuietly(path, fd)
        throw error
      }
      await closeQuietly(path, fd)
    },
    async writeAt(path, offset, bytes) {
      const file = await borrow(path)
      try {
        await writeAll(path, file.fd, bytes, offset)
      } finally {
        await giveBack(path, file)
      }
    },
    async writeWhole({ temp, path, mode, durable }, bytes) {
      const fd = await run(temp, () => openNew(temp, mode), closeLate)
      try {
        try {
          await writeAll(temp, fd, bytes, 0)
          if ((mode & umask) !== 0) await run(temp, () => chmodFile(fd, mode))
          if (durable) await run(temp, () => syncFile(fd))
        } catch (error) {
          void closeQuietly(temp, fd)
          throw error
        }
        // Its error counts: a network filesystem may tell only here that it has no room.
        await run(temp, () => closeFile(fd))
        await run(path, () => renameFile(temp, path))
      } catch (error) {
        if (!isStuck(error)) await watched(temp, unlinkFile(temp), options.stuckMs).catch(() => {})
        throw error
      }
    },
    closeIdle,
  }
}

/** What was opened after all, when nobody waited any more. */
function closeLate(fd: number): void {
  fs.close(fd, () => {})
}

/** A temporary file of that name can only be what a killed run left: nobody else uses the planner's names. */
async function openNew(temp: string, mode: number): Promise<number> {
  try {
    return await openFile(temp, 'wx', mode)
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
  }
  await unlinkFile(temp)
  return openFile(temp, 'wx', mode)
}

function watched<T>(path: string, operation: Promise<T>, stuckMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(
        new LongshoreError('STUCK', `${path}: the disk has not answered for ${stuckMs / 1000} s`, {
          path,
          hint: 'look at the disk or the mount (dmesg); this process may have to be killed',
        }),
      )
    }, stuckMs)
    operation.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

export function isStuck(error: unknown): boolean {
  return error instanceof LongshoreError && error.code === 'STUCK'
}

function shorter(path: string, at: number): LongshoreError {
  return new LongshoreError(
    'SOURCE_CHANGED',
    `${path}: ends at byte ${at}, it was longer when it was planned`,
    {
      path,
      hint: 'run again when nothing writes to it',
    },
  )
}
