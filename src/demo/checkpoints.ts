import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makePath } from '../fs/make-path.ts'
import { noise } from './make-files.ts'

/** bytes: the optimizer's file is above the size from which files go up in parts. */
const FILES = { 'model.bin': 3 << 20, 'optimizer.bin': 20 << 20, 'rng.bin': 5000 }

/** Written last, as a trainer does: what `--marker` looks for. */
export const MARKER = 'DONE'

/** Writes one checkpoint of a pretended training run. Returns its folder's name. */
export async function writeCheckpoint(dir: string, step: number): Promise<string> {
  const name = `checkpoint-${step}`
  await makePath(join(dir, name))
  for (const [file, size] of Object.entries(FILES))
    await writeFile(join(dir, name, file), noise(`${name}/${file}`, size))
  await writeFile(join(dir, name, 'state.json'), `${JSON.stringify({ step })}\n`)
  await writeFile(join(dir, name, MARKER), '')
  return name
}

/** Whether two folders hold the same files with the same bytes. */
export async function sameFolder(a: string, b: string): Promise<boolean> {
  const [left, right] = [(await readdir(a)).sort(), (await readdir(b)).sort()]
  if (left.join('\0') !== right.join('\0')) return false
  for (const name of left) {
    if (!(await readFile(join(a, name))).equals(await readFile(join(b, name)))) return false
  }
  return true
}
