import { LongshoreError } from '../errors.ts'
import { UNHOLDABLE } from '../formats/webdataset.ts'
import { escapeGlob } from './filters.ts'

/** Why an object can't be packed: what a user reads after its name. */
export const REASONS = {
  ...UNHOLDABLE,
  folder: 'its name ends in "/" and it has content',
  split: 'it is in no folder that could be a split (--split dir)',
  archived: 'archived: its storage class must be restored before it can be read',
  duplicate: 'its sample has that extension already (WebDataset compares in lower case)',
  absent: 'listed in --files-from, and not in SRC',
  missing: 'its sample lacks an extension of --require',
} as const

export interface Finding {
  kind: keyof typeof REASONS | 'local'
  /** Relative to SRC. */
  key: string
  reason: string
}

export interface Findings {
  readonly count: number
  add(finding: Finding): void
  /** The one error that tells them all: the count, the first five in the order of their bytes, the mend. */
  error(source: string): LongshoreError
}

const SHOWN = 5

/** Counts what can't be packed; holds no more than it will show. */
export function createFindings(): Findings {
  let count = 0
  let first: Finding[] = []
  const kinds = new Map<Finding['kind'], number>()
  return {
    get count() {
      return count
    },
    add(finding) {
      count++
      kinds.set(finding.kind, (kinds.get(finding.kind) ?? 0) + 1)
      const last = first.at(-1)
      if (first.length === SHOWN && last && compareBytes(last.key, finding.key) <= 0) return
      first = [...first, finding].sort((a, b) => compareBytes(a.key, b.key)).slice(0, SHOWN)
    },
    error(source) {
      const [kind = 'local'] = [...kinds].sort((a, b) => b[1] - a[1])[0] ?? []
      const shown = first.map(({ key, reason }) => `${JSON.stringify(key)} (${reason})`).join(', ')
      const more = count > first.length ? `, and ${count - first.length} more` : ''
      const things = count === 1 ? '1 object' : `${count} objects`
      const archived = kinds.size === 1 && kinds.has('archived')
      return new LongshoreError(
        archived ? 'ARCHIVED' : 'LINT',
        `${things} can't be packed: ${shown}${more}`,
        {
          path: source,
          hint: mend(kind, first[0]?.key ?? ''),
        },
      )
    },
  }
}

function mend(kind: Finding['kind'], key: string): string {
  if (kind === 'missing') return 'Add what is missing, or give --on-missing exclude or warn.'
  const skip = 'or --on-unpackable skip to leave all of them out and list them'
  const globs: Partial<Record<Finding['kind'], string>> = { extension: '!(*.*)', meta: '__*__/**' }
  const line = `--exclude '${(globs[kind] ?? escapeGlob(key)).replaceAll("'", "'\\''")}'`
  if (kind === 'archived') return `Restore them first, give ${line}, ${skip}.`
  if (kind === 'absent') return `Correct the list, ${skip}.`
  return `Rename them, give ${line}, ${skip}.`
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
