import { hash } from 'node:crypto'
import { LongshoreError } from '../errors.ts'
import { tarMemberBytes } from '../formats/tar/header.ts'
import { splitSampleName, whyUnholdable } from '../formats/webdataset.ts'
import type { SortRecord } from '../fs/sort-run.ts'
import { type Finding, REASONS } from './findings.ts'
import { isSplitName, roleOf, seedOf } from './names.ts'
import type { SourceObject, SourcePage } from './source.ts'

export interface IntakeOptions {
  split: 'dir' | undefined
  name: string
  groupBy: 'stem' | 'none'
  shuffle: number | false | undefined
  /** Which keys, relative to SRC, are wanted. */
  wanted: (rel: string) => boolean
  /** Refuse a SRC whose top folders are named like splits. */
  guardSplits: boolean
  source: string
  signal: AbortSignal
  onFinding(finding: Finding): void
  onPage(objects: number): void
}

/** What a listing amounts to, before it is sorted. */
export interface IntakeTotals {
  pages: number
  objects: number
  /** What they will take in the shards. */
  tarBytes: number
}

/**
 * Sort records are fields between tabs, which sort below every character a name may hold: '0', split, hash of
 * the sample, sample, name for what is packed; '1', key for what is left out. So the members of a sample come
 * together whatever order the listing had, and the order of the samples is that of hash(seed, key), ties by bytes.
 */
const KEPT = '0'
const LEFT = '1'

export type SortedEntry =
  | { kind: 'member'; split: string; sample: string; name: string; size: number; etag: string }
  | { kind: 'left'; key: string; reason: string }

export async function* takeIn(
  pages: AsyncIterable<SourcePage>,
  totals: IntakeTotals,
  options: IntakeOptions,
): AsyncGenerator<SortRecord[]> {
  const roles = new Map<string, string>()
  for await (const page of pages) {
    options.signal.throwIfAborted()
    totals.pages++
    options.onPage(page.objects.length)
    const records: SortRecord[] = []
    for (const { rel, reason } of page.unreadable) {
      if (!options.wanted(rel)) continue
      const kind = reason === undefined ? 'absent' : 'local'
      records.push(leave(rel, find(options, { kind, key: rel, reason: reason ?? REASONS.absent })))
    }
    for (const object of page.objects) {
      // SRC itself as an empty object: many tools make one, and it is no content.
      if ((object.rel === '' && object.size === 0) || !options.wanted(object.rel)) continue
      const record = judge(object, options)
      records.push(record)
      if (record.tarBytes === undefined) continue
      if (options.guardSplits) guard(object.rel, roles, options.source)
      totals.objects++
      totals.tarBytes += record.tarBytes
    }
    yield records
  }
}

export function decodeRecord({ key, value }: SortRecord): SortedEntry {
  if (key.startsWith(LEFT)) {
    const data: unknown = JSON.parse(value)
    if (!Array.isArray(data)) throw new LongshoreError('INTERNAL', 'a sort record that is none')
    return { kind: 'left', key: String(data[0]), reason: String(data[1]) }
  }
  const [, split = '', , sample = '', name = ''] = key.split('\t')
  const space = value.indexOf(' ')
  return {
    kind: 'member',
    split,
    sample,
    name,
    size: Number(value.slice(0, space)),
    etag: value.slice(space + 1),
  }
}

function judge(object: SourceObject, options: IntakeOptions): SortRecord & { tarBytes?: number } {
  const { rel, size } = object
  const found = (kind: keyof typeof REASONS): SortRecord =>
    leave(rel, find(options, { kind, key: rel, reason: REASONS[kind] }))
  if (rel.startsWith('.longshore/')) return leave(rel, "longshore's own state")
  if (rel.endsWith('/')) return size === 0 ? leave(rel, 'a folder marker') : found('folder')
  const slash = rel.indexOf('/')
  if (options.split === 'dir' && (slash === -1 || !isSplitName(rel.slice(0, slash)))) return found('split')
  const split = options.split === 'dir' ? rel.slice(0, slash) : options.name
  const name = options.split === 'dir' ? rel.slice(slash + 1) : rel
  if (/(?:^|\/)\.[^/]*$/.test(name) && !/(?:^|\/)\.\.?$/.test(name)) return leave(rel, 'a dotfile')
  const why = whyUnholdable(name, size)
  if (why !== undefined) return found(why)
  // GLACIER_IR is read like any other class.
  if (object.storageClass === 'GLACIER' || object.storageClass === 'DEEP_ARCHIVE') return found('archived')
  const sample = options.groupBy === 'stem' ? (splitSampleName(name)?.key ?? name) : name
  const seed = seedOf(split, options.shuffle)
  const order = seed === null ? '' : hash('sha256', `${seed}\n${sample}`, 'hex').slice(0, 16)
  return {
    key: `${KEPT}\t${split}\t${order}\t${sample}\t${name}`,
    value: `${size} ${object.etag}`,
    tarBytes: tarMemberBytes(name, size),
  }
}

function find(options: IntakeOptions, finding: Finding): string {
  options.onFinding(finding)
  return finding.reason
}

function leave(rel: string, reason: string): SortRecord {
  // As JSON: such a name may hold the tabs that the order relies on.
  return {
    key: `${LEFT}\t${JSON.stringify(rel)}`,
    value: JSON.stringify([rel, reason]),
  }
}

/** Validation data in the training set is a mistake that nobody notices later: it is refused here. */
function guard(rel: string, roles: Map<string, string>, source: string): void {
  const slash = rel.indexOf('/')
  const folder = slash === -1 ? '' : rel.slice(0, slash)
  const role = slash === -1 ? undefined : roleOf(folder)
  if (role === undefined || roles.has(folder)) return
  roles.set(folder, role)
  if (roles.size < 2) return
  const names = [...roles.keys()].sort()
  throw new LongshoreError('SPLIT_NEEDED', `SRC holds splits that must not be mixed: ${names.join('/, ')}/`, {
    path: source,
    hint: `give --split dir, pack one of them (${source.replace(/\/?$/, '/')}${names[0]}/), or choose with --include`,
  })
}
