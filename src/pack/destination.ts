import { realpath } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { LongshoreError } from '../errors.ts'
import { errorCode } from '../fs/error-code.ts'
import type { Location } from '../s3/uri.ts'
import type { Desk } from './documents.ts'
import { holdsOther } from './freeze.ts'
import { looksLikeShard } from './names.ts'

/** DEST_INSIDE_SOURCE when what is packed would be packed again by the next run. Links are followed. */
export async function checkApart(
  source: Location,
  destination: Location,
  names: { source: string; destination: string },
): Promise<void> {
  const inside =
    source.kind === 's3' && destination.kind === 's3'
      ? source.bucket === destination.bucket && destination.prefix.startsWith(source.prefix)
      : source.kind === 'local' &&
        destination.kind === 'local' &&
        isBelow(await realRoot(destination.root), await realRoot(source.root))
  if (!inside) return
  throw new LongshoreError('DEST_INSIDE_SOURCE', `${names.destination} lies inside ${names.source}`, {
    path: names.destination,
    hint: 'choose a DST outside SRC',
  })
}

/** The real path of a folder that may not exist yet: that of its nearest parent, and the rest as written. */
async function realRoot(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' || dirname(path) === path) return path
    return join(await realRoot(dirname(path)), relative(dirname(path), path))
  }
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep)
}

/** Sizes of what lies directly at DST, for the names that are asked about. */
export async function sizesAt(desk: Desk, names: ReadonlySet<string>): Promise<Map<string, number>> {
  const sizes = new Map<string, number>()
  for await (const page of desk.store.listPages({
    prefix: desk.prefix,
    delimiter: '/',
    signal: desk.signal,
  })) {
    for (const { key, size } of page.objects) {
      const name = key.slice(desk.prefix.length)
      if (names.has(name)) sizes.set(name, size)
    }
  }
  return sizes
}

/** Shards at a DST without a plan were packed by someone else: ours would mix with them. */
export async function checkNoShards(desk: Desk, destination: string): Promise<void> {
  try {
    for await (const page of desk.store.listPages({
      prefix: desk.prefix,
      delimiter: '/',
      signal: desk.signal,
    })) {
      const shard = page.objects.find(({ key }) => looksLikeShard(key.slice(desk.prefix.length)))
      if (shard) throw holdsOther(destination, `shards that this longshore did not plan: ${shard.key}`)
    }
  } catch (error) {
    // A local DST is made by the first write.
    if (desk.store.kind !== 'local' || errorCode((error as { cause?: unknown }).cause) !== 'ENOENT')
      throw error
  }
}
