import { splitSampleName } from '../formats/webdataset.ts'
import { type Finding, REASONS } from './findings.ts'
import type { SortedEntry } from './intake.ts'

export type Member = Extract<SortedEntry, { kind: 'member' }> & { ext: string }

export interface Sample {
  split: string
  /** As WebDataset readers will name it. */
  key: string
  members: Member[]
}

export interface SamplerOptions {
  split: 'dir' | null
  require: readonly string[]
  onMissing: 'abort' | 'warn' | 'exclude'
  onUnpackable: 'fail' | 'skip'
  /** byRequest: --on-missing exclude, which is no finding. */
  drop(finding: Finding, byRequest: boolean): void
  onLacking(): void
}

/**
 * Puts sorted members together to samples. Two of one extension in a sample (`a.JPG`, `a.jpg`) make WebDataset's
 * reader raise, also when --group-by none put them into neighbouring samples of one key: the second is dropped.
 */
export function createSampler(options: SamplerOptions) {
  let open: { id: string; sample: Sample } | undefined
  let lastKey: string | undefined
  let lastName: string | undefined
  let exts = new Set<string>()
  let aborted = false
  const keyOf = (member: { split: string; name: string }): string =>
    options.split === 'dir' ? `${member.split}/${member.name}` : member.name
  const end = (): Sample | undefined => {
    const sample = open?.sample
    open = undefined
    if (sample === undefined) return undefined
    const lacks = options.require.filter((ext) => !sample.members.some((member) => member.ext === ext))
    if (lacks.length === 0) return sample
    if (options.onMissing === 'warn') {
      options.onLacking()
      return sample
    }
    const reason = `its sample lacks ${lacks.map((ext) => `.${ext}`).join(', ')} (--require)`
    const byRequest = options.onMissing === 'exclude'
    aborted ||= !byRequest
    for (const member of sample.members) {
      options.drop({ kind: 'missing', key: keyOf(member), reason }, byRequest)
    }
    return undefined
  }
  return {
    end,
    /** Whether a sample without a required extension was met that --on-missing abort does not let pass. */
    aborted: () => aborted,
    /** The sample before, when this member begins another one. */
    add(entry: Extract<SortedEntry, { kind: 'member' }>): Sample | undefined {
      const split = splitSampleName(entry.name)
      const id = `${entry.split}\t${entry.sample}`
      const done = open !== undefined && open.id !== id ? end() : undefined
      if (split === undefined) return done
      const key = `${entry.split}\t${split.key}`
      const name = `${entry.split}\t${entry.name}`
      // A listing that was changed while its pages were read may name an object twice.
      if (name === lastName) return done
      lastName = name
      if (key !== lastKey) exts = new Set()
      lastKey = key
      if (exts.has(split.ext)) {
        options.drop({ kind: 'duplicate', key: keyOf(entry), reason: REASONS.duplicate }, false)
        return done
      }
      exts.add(split.ext)
      open ??= { id, sample: { split: entry.split, key: split.key, members: [] } }
      open.sample.members.push({ ...entry, ext: split.ext })
      return done
    },
  }
}
