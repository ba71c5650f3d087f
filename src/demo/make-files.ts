import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { makePath } from '../fs/make-path.ts'

/** Files of one folder; more of them make every filesystem slow. */
const FOLDER_FILES = 500
const AT_ONCE = 32

/**
 * Makes `count` small files below `dir`, pairs of a picture's bytes and its label, always the same ones:
 * 4 to 16 KiB and some dozens of bytes. Returns the bytes written.
 */
export async function makeFiles(
  dir: string,
  options: { count: number; signal: AbortSignal; onFile(bytes: number): void },
): Promise<number> {
  let written = 0
  for (let first = 0; first < options.count; first += AT_ONCE) {
    options.signal.throwIfAborted()
    const numbers = Array.from({ length: Math.min(AT_ONCE, options.count - first) }, (_, n) => first + n)
    await Promise.all(
      numbers.map(async (i) => {
        const { path, body } = fileOf(dir, i)
        await makePath(dirname(path))
        await writeFile(path, body)
        written += body.length
        options.onFile(body.length)
      }),
    )
  }
  return written
}

function fileOf(dir: string, i: number): { path: string; body: Buffer } {
  const sample = i >> 1
  const folder = join(dir, `part-${String(Math.floor(i / FOLDER_FILES)).padStart(3, '0')}`)
  const stem = join(folder, `sample-${String(sample).padStart(6, '0')}`)
  if (i % 2 === 0) return { path: `${stem}.jpg`, body: picture(sample) }
  return {
    path: `${stem}.json`,
    body: Buffer.from(`${JSON.stringify({ label: sample % 10, id: sample })}\n`),
  }
}

/** Bytes that look random, so that nothing on the way can squeeze them, and are the same in every run. */
function picture(sample: number): Buffer {
  const size = 4096 + ((sample * 2654435761) % 12289)
  return noise(`picture ${sample}`, size)
}

/** `size` bytes that follow from `seed` alone. */
export function noise(seed: string, size: number): Buffer {
  return createHash('shake256', { outputLength: size }).update(seed).digest()
}
