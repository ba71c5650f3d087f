import { opendir, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** The shards in a preloaded folder; splits have folders of their own. */
export async function* tarsBelow(folder: string): AsyncGenerator<{ path: string; size: number }> {
  for await (const entry of await opendir(folder)) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* tarsBelow(path)
    else if (entry.name.endsWith('.tar')) yield { path, size: (await stat(path)).size }
  }
}
