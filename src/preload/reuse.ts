import { linkSync, unlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import type { FetchOptions } from '../fetch/fetch-files.ts'
import { errorCode } from '../fs/error-code.ts'
import type { OlderVersion } from './older.ts'
import { hasSize } from './trust.ts'

/** What needs no fetch: files that are there, and those that the older version has the same bytes of. */
export function createReuse(
  older: OlderVersion | undefined,
  /** false: the scan found nothing there, so no file is looked for. */
  begun: boolean,
): {
  use: FetchOptions['reuse']
  close(): Promise<void>
} {
  const files = older?.open()
  return {
    async use(entry, final, ensureFolder) {
      if (begun && hasSize(final, entry.size)) return 'kept'
      const same = await files?.find(entry)
      if (same === undefined) return undefined
      await ensureFolder(dirname(final))
      return linkFile(same, final) ? 'linked' : undefined
    },
    close: async () => await files?.close(),
  }
}

/** false: it can't be linked (evicted meanwhile, another owner, too many links), so it is fetched. */
function linkFile(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') return false
  }
  try {
    // A torn file of a version whose fetch was cut off by a power cut: it has the wrong size, or `use` had kept it.
    unlinkSync(to)
    linkSync(from, to)
    return true
  } catch {
    return false
  }
}
