import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isLongshoreError } from '../errors.ts'
import { createAlso } from './also.ts'
import { checkEpoch, type LogWriter } from './epoch.ts'
import { placeUrl } from './log.ts'
import type { Scanner } from './scan.ts'
import type { Tree } from './scan-tree.ts'
import type { Wake } from './scan-watch.ts'
import type { SidecarOptions } from './sidecar.ts'
import { createAside } from './sidecar-aside.ts'
import type { Handled } from './sidecar-handled.ts'
import type { Home } from './sidecar-home.ts'
import { createJudge, type Judged } from './sidecar-judge.ts'
import type { Pending, Queue } from './sidecar-queue.ts'
import type { Say } from './sidecar-say.ts'
import { createTake } from './sidecar-take.ts'
import { createWaiting, type Waiting } from './sidecar-waiting.ts'
import { unstage } from './stage.ts'

export interface ScansOptions extends SidecarOptions {
  writer: LogWriter
  scanner: Scanner
  queue: Queue
  /** What is staged or committed. */
  handled: Handled
  home: Home
  say: Say
  wake: Wake
  added: Wake
  signal: AbortSignal
  /** The last look has ended: nothing is added any more. */
  onLooked(): void
  showStatus(): Promise<void>
}

export interface Scans {
  /** Ends after the drain's last look, and the last copies of logs. */
  done: Promise<void>
  /** Names that the latest look took for complete, and that are not staged: still settling. */
  readonly unsettled: ReadonlySet<string>
  /** A pending checkpoint was rewritten or taken away. */
  gone(entry: Pending): Promise<void>
}

/** No `judged` and no `error`: there is no DIR. */
interface Pass {
  tree?: Tree
  judged?: Judged
  error?: unknown
}

/** ms between two passes, whatever events say */
const LEAST_GAP = 50
/** ms between two looks at whether another writer took over */
const EPOCH_EVERY = 60_000

/** The sidecar's eyes: scan, judge, stage; again and again until the drain has had its last look. */
export function runScans(options: ScansOptions): Scans {
  const { dir, scanner, queue, handled, drain, say, signal, progress, writer } = options
  const rescan = Math.min(options.scanInterval, 1_000)
  /** An hour between scans must not become two hours for a checkpoint that wants one more look. */
  const soon = Math.min(options.scanInterval, Math.max(rescan, options.settle))
  const also = options.also ?? (() => false)
  const judge = createJudge({
    dir,
    layout: options.layout,
    marker: options.marker,
    also,
    settle: options.settle,
    rescan,
  })
  const copies = createAlso({
    dir,
    writer,
    also,
    settle: options.settle,
    partSize: options.partSize ?? 16 * 1024 * 1024,
    progress,
    say,
  })
  const waiting: Waiting = createWaiting(say)
  const take = createTake(options)
  let hot: ReadonlySet<string> = new Set()
  const unsettled = new Set<string>()
  let layout = ''
  let gone = false
  const copying = createAside(options.wake.poke)
  const owning = createAside(options.wake.poke)
  return { done: loop(), gone: onGone, unsettled }

  async function loop(): Promise<void> {
    let ending: { since: number; passes: number } | undefined
    let epochAt = performance.now()
    // Once: each AbortSignal.any leaves some bytes in its sources, and a sidecar lives for weeks.
    const asked = AbortSignal.any([signal, drain.ask])
    for (;;) {
      signal.throwIfAborted()
      copying.check()
      owning.check()
      if (ending === undefined && (options.once || drain.ask.aborted)) {
        ending = { since: performance.now(), passes: 0 }
      }
      // CMD's end may come while a signal's drain is already under way: the settled rule changes with it.
      const final = drain.final
      const { tree, judged, error } = await pass({ full: ending !== undefined, final })
      if (ending !== undefined && ++ending.passes >= 2 && isOver(ending, { judged, error }, final)) {
        // The last look must not end as if there were nothing to see.
        if (error !== undefined) throw error
        for (const each of judged?.unsettled ?? []) {
          say.once(`${each.name} was still being written: it is not committed`, { path: each.name })
        }
        waiting.tellAll(judged?.waiting ?? [])
        options.onLooked()
        if (tree !== undefined && judged !== undefined) await copyLast(tree, judged)
        return
      }
      if (performance.now() - epochAt > EPOCH_EVERY) {
        epochAt = performance.now()
        owning.start(stillOwner)
        await options.showStatus()
      }
      const pace = ending !== undefined ? rescan : judged?.unsettled.length ? soon : options.scanInterval
      await options.wake.wait(pace, ending === undefined ? asked : signal)
      if (!signal.aborted) await sleep(LEAST_GAP)
    }
  }

  /** Whether there is nothing to wait for: what still changes now is not complete now. */
  function isOver(
    ending: { since: number; passes: number },
    { judged, error }: Pass,
    final: boolean,
  ): boolean {
    if (error === undefined && (judged === undefined || judged.unsettled.length === 0)) return true
    const patience = (final ? rescan : Math.max(rescan, options.settle)) + 2 * rescan + 1_000
    return ending.passes >= 3 && performance.now() - ending.since > patience
  }

  async function pass({ full, final }: { full: boolean; final: boolean }): Promise<Pass> {
    try {
      options.wake.arm()
      const tree =
        (await options.home.ensure(signal)) === 'missing'
          ? undefined
          : await scanner.scan({ signal, full, hot })
      if (tree === undefined) {
        onMissing()
        return {}
      }
      if (gone) progress.warn(`${dir} is back`, { path: dir })
      gone = false
      const judged = await judge.judge(tree, handled.names, { final })
      hot = judged.hot
      unsettled.clear()
      for (const { name } of [...judged.unsettled, ...judged.ready]) unsettled.add(name)
      if (judged.layout !== layout) {
        layout = judged.layout
        progress.item('layout', { layout })
      }
      for (const candidate of judged.ready) {
        await take(candidate, layout)
        unsettled.delete(candidate.name)
      }
      waiting.look(judged.waiting, tree.at)
      if (options.also !== undefined) {
        copying.start(() => copies.copy(tree, { all: false, holds: judged.holds, signal }))
      }
      return { tree, judged }
    } catch (error) {
      if (signal.aborted || isLongshoreError(error, 'LOCKED') || isLongshoreError(error, 'SUPERSEDED'))
        throw error
      say.failure(`${dir} can not be looked at now`, error)
      return { error }
    }
  }

  async function copyLast(tree: Tree, { holds }: Judged): Promise<void> {
    if (options.also === undefined) return
    try {
      await copying.end()
      await copies.copy(tree, { all: true, holds, signal })
    } catch (error) {
      say.once('what --also names was not copied to the end before the time ran out', { path: dir })
      throw error
    }
  }

  function onMissing(): void {
    if (!gone) {
      progress.warn(`${dir} is gone: what is in ${placeUrl(writer)} stays. Waiting for it to come back`, {
        path: dir,
      })
    }
    gone = true
    options.wake.close()
  }

  async function onGone({ staged }: Pending): Promise<void> {
    const { name, files } = staged.checkpoint
    handled.names.delete(name)
    await unstage(staged)
    let left = false
    for (const file of files) {
      if (file.symlink === undefined)
        left ||= await lstat(join(dir, file.path)).then(
          () => true,
          () => false,
        )
    }
    if (left) {
      say.once(`${name} was written to before it was uploaded: it is looked at again`, {
        path: name,
        hint: 'give each checkpoint a name of its own, or write it under another name and rename it',
      })
    } else {
      queue.lost.push(name)
      progress.warn(`${name} was taken away before it was committed`, { path: name })
    }
    options.wake.poke()
  }

  async function stillOwner(): Promise<void> {
    try {
      await checkEpoch(writer, { signal })
    } catch (error) {
      if (isLongshoreError(error, 'SUPERSEDED') || signal.aborted) throw error
      say.failure(`${placeUrl(writer)} can not be reached`, error)
    }
  }
}
