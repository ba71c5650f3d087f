import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where a long list of left-out files goes: outside the folder that is removed. */
export async function writeLeftOut(
  left: readonly { key: string; reason: string }[],
  options: { folder: string | undefined; env: Readonly<Record<string, string | undefined>> },
): Promise<string> {
  const parent =
    options.folder ?? (await mkdtemp(join(options.env.TMPDIR ?? tmpdir(), 'longshore-left-out-')))
  const path = join(parent, 'left-out.tsv')
  await writeFile(path, left.map(({ key, reason }) => `${reason}\t${JSON.stringify(key)}\n`).join(''))
  return path
}
