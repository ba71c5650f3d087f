import * as fs from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { LongshoreError } from '../errors.ts'
import { errorCode } from '../fs/error-code.ts'
import { isStuck, openWatch } from '../fs/stuck.ts'
import { type WholePlace, writeAllSync, writeWholeSync } from '../fs/write-whole-sync.ts'
import { localError } from '../s3/local-path.ts'
import { openDiskPace } from './disk-pace.ts'
import { keepFiles } from './kept-files.ts'

export { isStuck } from '../fs/stuck.ts'

// The callback forms: FileHandles cost twice the CPU, which counts at one file an object.
const openFile = promisify(fs.open)
const closeFile = promisify(fs.close)
const readFile = promisify(fs.read)
const writeFile = promisify(fs.write)
const syncFile = promisify(fs.fsync)
const chmodFile = promisify(fs.fchmod)
const renameFile = promisify(fs.rename)
const unlinkFile = promisify(fs.unlink)

const CROWDED_WAIT_MS = 50
const CROWDED_TRIES = 200
/** Larger files are worth a thread of the pool. */
const SYNC_BYTES = 1024 * 1024
const MIB = 1024 * 1024
/** ms a file from which the pool's four threads do better than this one, which has sockets to serve. */
const FILES = { slow: 1, most: 4, rest: 256 }
/** The same of large files: ms a MiB, and ranges. A page cache takes 0.3 ms; a disk that has to be waited for, 2 to 10. */
const RANGES = { slow: 3, most: 12, rest: 32 }

type Whole = WholePlace & { durable: boolean }

export interface LocalIo {
  /** Fills `into` from a file. A shorter file is SOURCE_CHANGED. */
  read(path: string, offset: number, into: Uint8Array): Promise<void>
  /** All of `bytes` at `offset` of an existing file. */
  writeAt(path: string, offset: number, bytes: Uint8Array): Promise<void>
  /**
   * An existing file whose bytes are written as they come in, each write done on return; with `sync` only, and not
   * while the disk is slow: undefined, and writeAt() has to do it.
   */
  openNow(path: string): Promise<OpenedNow> | undefined
  /** Writes of that kind are slow at the moment. */
  readonly slow: boolean
  /** A whole file: temporary name, if any, synced if `durable`, renamed. With `sync` a small one is there on return. */
  writeWhole(place: Whole, bytes: Uint8Array): Promise<void>
  /** The same, there on return; false: nothing was done, it is writeWhole's to do. Throws its errors. */
  writeWholeNow(place: Whole, bytes: Uint8Array): boolean
  /** Closes what is kept open for the next piece of the same file. */
  closeIdle(): Promise<void>
}

export interface OpenedNow {
  /** Throws a LongshoreError. */
  write(offset: number, bytes: Uint8Array): void
  close(): Promise<void>
}

export interface LocalIoOptions {
  /** ms until an operation that has not returned is STUCK: a dead disk or NFS. */
  stuckMs: number
  /** Small files that need no fsync, and what comes in, are written at once: where another thread watches this one. */
  sync?: boolean | undefined
  /** Told of the file before such a write, and of undefined after it. */
  onSync?: ((path: string | undefined) => void) | undefined
}

/** Reads and writes of local files. */
export function openLocalIo(options: LocalIoOptions): LocalIo {
  const watch = openWatch(options.stuckMs)
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
        return await watch.over(path, running)
      } catch (error) {
        if (undo !== undefined && isStuck(error)) running.then(undo, () => {})
        if (!isCrowded(error) || attempt >= CROWDED_TRIES) throw localError(error, path)
        await kept.closeIdle()
        await wait(CROWDED_WAIT_MS)
      }
    }
  }

  /** Watched as well: on a dead disk close() hangs like everything else, and whoever waits for it says nothing. */
  const closeQuietly = async (path: string, fd: number) => {
    await watch.over(path, closeFile(fd)).catch(() => {})
  }
  const open = (path: string, flags: string) => run(path, () => openFile(path, flags), closeLate)
  const kept = keepFiles({ run, open, closeQuietly })

  const writeAll = async (path: string, fd: number, bytes: Uint8Array, offset: number) => {
    for (let done = 0; done < bytes.length; ) {
      const at = done
      const { bytesWritten } = await run(path, () => writeFile(fd, bytes, at, bytes.length - at, offset + at))
      if (bytesWritten === 0) throw localError(new Error('the filesystem takes no more bytes'), path)
      done += bytesWritten
    }
  }

  const writeByPool = async ({ temp, path, mode, durable }: Whole, bytes: Uint8Array) => {
    const name = temp ?? path
    const fd = await run(name, () => openNew(name, mode), closeLate)
    try {
      try {
        // Before the bytes, as in writeWholeSync().
        if ((mode & umask) !== 0) await run(name, () => chmodFile(fd, mode))
        await writeAll(name, fd, bytes, 0)
        if (durable) await run(name, () => syncFile(fd))
      } catch (error) {
        void closeQuietly(name, fd)
        throw error
      }
      // Its error counts: a network filesystem may tell only here that it has no room.
      await run(name, () => closeFile(fd))
      if (temp !== undefined) await run(path, () => renameFile(temp, path))
    } catch (error) {
      if (!isStuck(error)) await watch.over(name, unlinkFile(name)).catch(() => {})
      throw error
    }
  }

  const files = openDiskPace(FILES)
  const mayBlock = ({ durable }: Whole, bytes: Uint8Array) =>
    options.sync === true && !durable && bytes.length <= SYNC_BYTES
  const writeNow = (place: Whole, bytes: Uint8Array): boolean => {
    const began = files.now()
    options.onSync?.(place.path)
    try {
      writeWholeSync(place, bytes, umask)
    } catch (error) {
      // Nothing was made yet: the pool waits until there is room.
      if (isCrowded(error)) return false
      throw localError(error, isRename(error) ? place.path : (place.temp ?? place.path))
    } finally {
      options.onSync?.(undefined)
    }
    files.took(files.now() - began)
    return true
  }

  const ranges = openDiskPace(RANGES)
  const writeRange = (path: string, fd: number, offset: number, bytes: Uint8Array) => {
    const began = ranges.now()
    options.onSync?.(path)
    try {
      writeAllSync(fd, bytes, offset)
    } catch (error) {
      throw localError(error, path)
    } finally {
      options.onSync?.(undefined)
    }
    ranges.took(((ranges.now() - began) * MIB) / Math.max(bytes.length, MIB / 4))
  }

  return {
    get slow() {
      return ranges.slow
    },
    openNow(path) {
      if (options.sync !== true) return undefined
      if (ranges.slow) {
        ranges.skipped()
        return undefined
      }
      return kept.borrow(path).then((file) => ({
        write: (offset, bytes) => writeRange(path, file.fd, offset, bytes),
        close: () => kept.giveBack(file),
      }))
    },
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
      const file = await kept.borrow(path)
      try {
        await writeAll(path, file.fd, bytes, offset)
      } finally {
        await kept.giveBack(file)
      }
    },
    async writeWhole(place, bytes) {
      if (mayBlock(place, bytes)) {
        if (files.slow) files.skipped()
        else if (writeNow(place, bytes)) return
      }
      await writeByPool(place, bytes)
    },
    writeWholeNow: (place, bytes) => mayBlock(place, bytes) && !files.slow && writeNow(place, bytes),
    closeIdle: kept.closeIdle,
  }
}

/** What was opened after all, when nobody waited any more. */
function closeLate(fd: number): void {
  fs.close(fd, () => {})
}

/** A file of that name can only be what a killed run left: nobody else uses the planner's names, or sees its folder. */
async function openNew(name: string, mode: number): Promise<number> {
  try {
    return await openFile(name, 'wx', mode)
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
  }
  await unlinkFile(name)
  return openFile(name, 'wx', mode)
}

function isRename(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && error.syscall === 'rename'
}

function isCrowded(error: unknown): boolean {
  return errorCode(error) === 'EMFILE' || errorCode(error) === 'ENFILE'
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
