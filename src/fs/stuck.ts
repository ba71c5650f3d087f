import { LongshoreError } from '../errors.ts'

/** Looks at operations on a disk, each of which has `stuckMs` to return. */
export interface Watch {
  /** The operation's own outcome, or STUCK. What comes later is nobody's any more. */
  over<T>(path: string, operation: Promise<T>): Promise<T>
}

interface Watched {
  path: string
  /** Sweeps it has outlived. */
  age: number
  give: (error: LongshoreError) => void
}

/** Sweeps in the time an operation has. */
const SWEEPS = 10

/**
 * One timer for all operations: a timer each would cost more than many of them. It counts sweeps, not time, so a
 * process that was stopped, or a thread that was busy, does not find its disk dead when it goes on.
 */
export function openWatch(stuckMs: number): Watch {
  const open = new Set<Watched>()
  let timer: NodeJS.Timeout | undefined
  const sweep = () => {
    for (const one of open) {
      if (++one.age <= SWEEPS) continue
      open.delete(one)
      one.give(stuck(one.path, stuckMs))
    }
    if (open.size > 0) return
    clearInterval(timer)
    timer = undefined
  }
  return {
    over(path, operation) {
      return new Promise((resolve, reject) => {
        const one: Watched = { path, age: 0, give: reject }
        open.add(one)
        // The operation itself keeps the process, so this one need not.
        timer ??= setInterval(sweep, Math.max(1, stuckMs / SWEEPS)).unref()
        operation.then(
          (value) => {
            open.delete(one)
            resolve(value)
          },
          (error) => {
            open.delete(one)
            reject(error)
          },
        )
      })
    },
  }
}

export function isStuck(error: unknown): boolean {
  return error instanceof LongshoreError && error.code === 'STUCK'
}

/** `path`: what the disk does not answer for. */
export function stuck(path: string, stuckMs: number): LongshoreError {
  return new LongshoreError('STUCK', `${path}: the disk has not answered for ${stuckMs / 1000} s`, {
    path,
    hint: 'look at the disk or the mount (dmesg), and run again when it answers',
  })
}
