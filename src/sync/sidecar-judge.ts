import { chooseLayout, LAYOUTS } from './layouts/choose.ts'
import { type Candidate, createSmallReads, type Layout, type LayoutView } from './layouts/layout.ts'
import { identityOf, quietFor } from './scan-settled.ts'
import type { Tree } from './scan-tree.ts'

export interface JudgeOptions {
  /** DIR, absolute. */
  dir: string
  /** A layout's name, or 'auto'. */
  layout: string
  marker?: ((path: string) => boolean) | undefined
  also(path: string): boolean
  /** ms without a change, for layouts that know no better sign */
  settle: number
  /** ms that the one unchanged rescan lies after the first look, at least */
  rescan: number
}

export interface Judged {
  layout: string
  /** Complete and not handled yet, in the order in which the writer completed them. */
  ready: Candidate[]
  /** Complete but for the proof that nothing changes any more. */
  unsettled: Candidate[]
  waiting: { name: string; why: string }[]
  /** Folders to look into in the next pass. */
  hot: Set<string>
  /** Every path that belongs to a candidate. */
  holds(path: string): boolean
}

export interface Judge {
  /**
   * `handled` (name → identity) is left out, and forgets names that are gone. `final`: nothing writes any more,
   * one unchanged rescan is enough for every layout.
   */
  judge(tree: Tree, handled: Map<string, string>, options: { final: boolean }): Promise<Judged>
}

export function createJudge(options: JudgeOptions): Judge {
  const read = createSmallReads(options.dir)
  const identities = createIdentities()
  let chosen = LAYOUTS.find((layout) => layout.name === options.layout)

  async function layoutFor(view: LayoutView): Promise<Layout> {
    if (options.layout !== 'auto' && chosen !== undefined) return chosen
    chosen = await chooseLayout(view, chosen)
    return chosen
  }

  return {
    async judge(tree, handled, { final }) {
      const { dir, marker, also } = options
      const view: LayoutView = { tree, dir, marker, also, read }
      const layout = await layoutFor(view)
      const { candidates, waiting } = await layout.judge(view)
      const judged: Judged = {
        layout: layout.name,
        ready: [],
        unsettled: [],
        waiting,
        hot: new Set(),
        holds: holder(candidates),
      }
      const names = new Set<string>()
      for (const candidate of candidates) {
        names.add(candidate.name)
        if (handled.get(candidate.name) === identities.of(candidate)) continue
        for (const folder of [...candidate.folders, ...candidate.listings]) judged.hot.add(folder.path)
        const quiet = quietFor(candidate, tree.at)
        const wanted = candidate.quiet === 'settle' && !final ? options.settle : options.rescan
        if (quiet !== undefined && quiet >= wanted) judged.ready.push(candidate)
        else judged.unsettled.push(candidate)
      }
      for (const name of handled.keys()) if (!names.has(name)) handled.delete(name)
      identities.keep(names)
      judged.ready.sort(byCompletion)
      return judged
    },
  }
}

/** Of what became complete between two passes: by the newest file, then as the writer lists them. */
function byCompletion(a: Candidate, b: Candidate): number {
  const [left, right] = [newestFile(a), newestFile(b)]
  if (left !== right) return left < right ? -1 : 1
  return (a.rank ?? 0) - (b.rank ?? 0) || (a.step ?? 0) - (b.step ?? 0) || (a.name < b.name ? -1 : 1)
}

function newestFile(candidate: Candidate): bigint {
  let newest = 0n
  for (const { record } of candidate.files) if (record.mtimeNs > newest) newest = record.mtimeNs
  return newest
}

function holder(candidates: readonly Candidate[]): (path: string) => boolean {
  let paths: Set<string> | undefined
  return (path) => {
    paths ??= new Set(
      candidates.flatMap((each) => [
        ...each.files.map((file) => file.path),
        ...each.pointers.map((p) => p.path),
      ]),
    )
    return paths.has(path)
  }
}

/** Hashing each file of each checkpoint in every pass would keep a core busy in a DIR that holds many. */
function createIdentities(): { of(candidate: Candidate): string; keep(names: ReadonlySet<string>): void } {
  const cache = new Map<string, { key: string; identity: string }>()
  return {
    of(candidate) {
      // A file that came or changed is a record with a new time; one that went is missing in the count.
      let latest = 0
      for (const { record } of candidate.files) if (record.changedAt > latest) latest = record.changedAt
      const key = `${candidate.files.length}:${latest}`
      const known = cache.get(candidate.name)
      if (known?.key === key) return known.identity
      const identity = identityOf(candidate)
      cache.set(candidate.name, { key, identity })
      return identity
    },
    keep(names) {
      for (const name of cache.keys()) if (!names.has(name)) cache.delete(name)
    },
  }
}
