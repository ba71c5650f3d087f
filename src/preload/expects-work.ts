import { listDatasets } from '../cache/datasets.ts'
import { listReady } from '../cache/ready.ts'
import { parseLocation } from '../s3/uri.ts'
import type { PreloadJob } from './job.ts'

/**
 * A guess, before anything is asked of the source: will there be bytes to move that are worth getting ready for? Not
 * when some version of it is READY. BAD_URI for what is no place.
 */
export async function expectsWork(text: string, { cache, cwd }: PreloadJob): Promise<boolean> {
  const location = parseLocation(text, { cwd })
  // Beside a local folder there is nothing slow to load or to ask for.
  if (location.kind === 'local') return false
  const source = `s3://${location.bucket}/${location.prefix}`
  for await (const { id } of listDatasets(cache, { source })) {
    if ((await listReady(cache, id)).length > 0) return false
  }
  return true
}
