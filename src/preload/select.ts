import { LongshoreError } from '../errors.ts'
import { matchGlobs } from '../fs/globs.ts'
import type { NodeShare } from './node-share.ts'

/** Which files of a dataset are wanted. Nothing set means all of them. */
export interface Selection {
  include: readonly string[]
  exclude: readonly string[]
  node?: NodeShare | undefined
}

export interface Selector {
  /** By name, relative to the source: included and not excluded. */
  wants(name: string): boolean
  /** By position among the wanted ones, in sorted order: dealt to this node. */
  deals(index: number): boolean
}

/**
 * Globs match the name relative to the source; exclude wins. Shares are dealt round-robin: node R of W takes items
 * R, R+W, R+2W …, so every node has the same number of items, or one more.
 */
export function createSelector(selection: Selection): Selector {
  const included = selection.include.length === 0 ? () => true : matchGlobs(selection.include, '--include')
  const excluded = matchGlobs(selection.exclude, '--exclude')
  const { node } = selection
  if (
    node &&
    !(Number.isInteger(node.world) && node.world >= 1 && node.rank >= 0 && node.rank < node.world)
  ) {
    throw new LongshoreError('USAGE', `--node ${node.rank}/${node.world} is no share`, {
      hint: 'R/W: R counted from 0, below W',
    })
  }
  return {
    wants: (name) => included(name) && !excluded(name),
    deals: (index) => node === undefined || index % node.world === node.rank,
  }
}

/**
 * The selection as text: 'all', or canonical JSON. Two runs that mean the same files in the same words give the
 * same text, and the text can be read back to ask whether a file belongs to it.
 */
export function selectionText(selection: Selection): string {
  const include = [...new Set(selection.include)].sort()
  const exclude = [...new Set(selection.exclude)].sort()
  const node = selection.node && selection.node.world > 1 ? selection.node : undefined
  if (include.length === 0 && exclude.length === 0 && !node) return ALL
  return JSON.stringify({ include, exclude, ...(node && { node: `${node.rank}/${node.world}` }) })
}

export const ALL = 'all'

/** undefined: no text of selectionText (a record of another version: then it covers nothing). */
export function parseSelection(text: string): Selection | undefined {
  if (text === ALL) return { include: [], exclude: [] }
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return undefined
    const { include, exclude, node } = value as Record<string, unknown>
    if (!isStrings(include) || !isStrings(exclude)) return undefined
    if (node === undefined) return { include, exclude }
    const share = typeof node === 'string' ? /^(\d{1,7})\/(\d{1,7})$/.exec(node) : null
    if (!share) return undefined
    return { include, exclude, node: { rank: Number(share[1]), world: Number(share[2]) } }
  } catch {
    return undefined
  }
}

/** Whether having all of `ready` means having all of `wanted`: the same words, or the same without the share. */
export function covers(ready: string, wanted: Selection): boolean {
  if (ready === ALL) return true
  return ready === selectionText(wanted) || ready === selectionText({ ...wanted, node: undefined })
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((v) => typeof v === 'string')
}
