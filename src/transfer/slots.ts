import { weightOf } from './worth.ts'

/** Told once how many bytes a request moved, or FAILED. */
export type Finished = (bytes: number) => void

export const FAILED = -1

/** Requests that wait for slots. */
export interface Source {
  /** How many; 0: it is forgotten. */
  left: number
  /**
   * Begins the next one; called only while some are left, which it counts down. It never throws, and `finished` is
   * called when the request is over, but not before this has returned. Not a promise: small objects are too many for
   * one each.
   */
  begin(finished: Finished): void
  /** The next one would only wait behind others on a connection: two of those have one slot. Left out: it would not. */
  behind?(): boolean
  signal: AbortSignal
  /** Called by sweep() once the signal is aborted: its turn will not come. */
  cancel(): void
}

/** What says whether one more may start: this thread's part of the limit, and what all threads have in flight. */
export interface Gate {
  readonly limit: number
  /** Takes one of what all threads may have in flight; false: there is none. */
  enter(): boolean
  leave(): void
  done(work: number, busy: boolean): void
  /** Others move the limit and leave: it is looked at again after this many ms. */
  readonly pollMs?: number
}

/**
 * Requests in flight, as many as the gate allows. Uploads go first, since they free buffers, and with them what
 * somebody waits for in memory; then downloads, transfer by transfer in the order they came, so that the oldest part
 * is full first.
 */
export interface Slots {
  /** Slots that are taken. */
  readonly active: number
  /** Sources that wait. */
  readonly waiting: number
  upload(source: Source): void
  download(source: Source): void
  /** Cancels what waits under an aborted signal. */
  sweep(): void
}

export function openSlots(gate: Gate): Slots {
  let uploads: Source[] = []
  let downloads: Source[] = []
  let active = 0
  /** Of those in flight, how many share a slot with another. */
  let behind = 0
  let timer: NodeJS.Timeout | undefined
  const head = (): Source | undefined => firstOf(uploads) ?? firstOf(downloads)
  const finished: Finished = (bytes) => {
    active--
    gate.leave()
    ended(bytes)
  }
  const finishedBehind: Finished = (bytes) => {
    behind--
    if (behind % 2 === 0) {
      active--
      gate.leave()
    }
    ended(bytes)
  }
  const ended: Finished = (bytes) => {
    // One that failed has done nothing.
    gate.done(bytes === FAILED ? 0 : weightOf(bytes, 1), head() !== undefined)
    pump()
  }
  const pump = () => {
    for (let source = head(); source !== undefined; source = head()) {
      const shares = source.behind?.() === true
      if (!shares || behind % 2 === 0) {
        if (active >= gate.limit || !gate.enter()) return pumpLater()
        active++
      }
      if (shares) behind++
      source.begin(shares ? finishedBehind : finished)
    }
  }
  const pumpLater = () => {
    if (gate.pollMs === undefined || timer !== undefined) return
    timer = setTimeout(() => {
      timer = undefined
      pump()
    }, gate.pollMs)
  }
  const sweepOne = (sources: Source[]): Source[] => {
    const [gone, kept]: [Source[], Source[]] = [[], []]
    for (const source of sources) (source.signal.aborted ? gone : kept).push(source)
    for (const source of gone) {
      source.left = 0
      source.cancel()
    }
    return gone.length === 0 ? sources : kept
  }
  return {
    get active() {
      return active
    },
    get waiting() {
      return uploads.length + downloads.length
    },
    upload(source) {
      uploads.push(source)
      pump()
    },
    download(source) {
      downloads.push(source)
      pump()
    },
    sweep() {
      uploads = sweepOne(uploads)
      downloads = sweepOne(downloads)
    },
  }
}

/** Forgets those before it that have none left. Asked at every request: an empty list is not read from. */
function firstOf(sources: Source[]): Source | undefined {
  while (sources.length > 0) {
    const first = sources[0]
    if (first !== undefined && first.left > 0) return first
    sources.shift()
  }
  return undefined
}

/** One request in its turn. Rejects as `task` does, or with the signal's reason when that comes before its turn. */
export function inTurn<T>(
  enqueue: (source: Source) => void,
  signal: AbortSignal,
  bytes: number,
  task: () => Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const run = async () => {
      try {
        if (signal.aborted) throw signal.reason
        resolve(await task())
        return bytes
      } catch (error) {
        reject(error)
        return FAILED
      }
    }
    const source: Source = {
      left: 1,
      signal,
      begin(finished) {
        source.left = 0
        void run().then(finished)
      },
      cancel: () => reject(signal.reason),
    }
    enqueue(source)
  })
}
