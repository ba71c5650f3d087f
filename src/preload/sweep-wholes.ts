import { opendir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode } from '../fs/error-code.ts'

/** Removes the temporary files of small objects that a killed or failed run left: they are fetched whole again. */
export async function sweepWholes(staging: string): Promise<void> {
  try {
    for await (const { name } of await opendir(staging)) {
      if (name.endsWith('.whole')) await unlink(join(staging, name))
    }
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
}
