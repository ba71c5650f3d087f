import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isLongshoreError } from '../errors.ts'
import { DATASET_MANIFEST } from '../manifest/dataset.ts'
import { type PackedDataset, parsePacked } from './packed.ts'

/** The manifest of a packed version in the cache; undefined when it is not there, or not as written. */
export async function readLocalManifest(root: string): Promise<PackedDataset | undefined> {
  try {
    return parsePacked(await readFile(join(root, DATASET_MANIFEST)), `${root}/`)
  } catch (error) {
    if (isLongshoreError(error) || (error instanceof Error && 'code' in error)) return undefined
    throw error
  }
}
