import { linkSync, unlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Reuse } from '../fetch/fetch-files.ts'
import { errorCode } from '../fs/error-code.ts'
import type { OlderVersion } from './older.ts'
import { hasSize } from './trust.ts'

/** What needs no fetch: files that are there, and those that the older version has the same bytes of. */
export function createReuse(
  older: OlderVersion | undefined,
  /** false: the scan found nothing there, so no file is looked for. */
  begun: boolean,
): {
  /** undefined: nothing is there, and no older version. */
  use: Reuse | undefined
  close(): Promise<void>
} {
  const files = older?.open()
  const use: Reuse = (entry, final, ensureFolder) => {
    if (begun && hasSize(final, entry.size)) return 'kept'
    const place = (same: string | undefined): ReturnType<Reuse> => {
      if (same === undefined) return undefined
      const making = ensureFolder(dirname(final))
      return making ? making.then(() => linkFile(same, final)) : linkFile(same, final)
    }
    const found = files?.find(entry)
    return found instanceof Promise ? found.then(place) : place(found)
  }
  return { use: begun || files ? use : undefined, close: async () => await files?.close() }
}

/** undefined: it can't be linked (evicted meanwhile, another owner, too many links), so it is fetched. */
function linkFile(from: string, to: string): 'linked' | undefined {
  try {
    linkSync(from, to)
    return 'linked'
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') return undefined
  }
  try {
    // A torn file of a version whose fetch was cut off by a power cut: it has the wrong size, or `use` had kept it.
    unlinkSync(to)
    linkSync(from, to)
    return 'linked'
  } catch {
    return undefined
  }
}
