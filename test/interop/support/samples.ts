import { createHash } from 'node:crypto'

/** Deterministic bytes: the same seed gives the same object on every machine. */
export function bytesOf(seed: string, length: number): Buffer {
  const out = Buffer.alloc(length)
  for (let at = 0, n = 0; at < length; n++)
    at += createHash('sha256').update(`${seed}/${n}`).digest().copy(out, at)
  return out
}

/**
 * Pairs of image and label as real datasets have them, with the names that trip packers: capitals in the
 * extension, spaces, plus and percent signs, unicode, several dots, a path over 100 bytes, an empty file.
 */
export function* oddDataset(samples: number): Generator<{ path: string; body: Buffer }> {
  const stems = [
    (i: number) => `n0${i % 7}/img_${String(i).padStart(5, '0')}`,
    (i: number) => `n0${i % 7}/with space ${i}`,
    (i: number) => `n0${i % 7}/plus+and percent=100%=of-${i}`,
    (i: number) => `n0${i % 7}/grün-日本-${i}`,
    (i: number) => `${'a-rather-long-folder-name/'.repeat(4)}${'stem'.repeat(12)}-${i}`,
    (i: number) => `n0${i % 7}/${'x'.repeat(120)}-${i}`,
  ]
  for (let i = 0; i < samples; i++) {
    const stem = stems[i % stems.length]?.(i) ?? `plain-${i}`
    yield { path: `${stem}.${i % 5 === 0 ? 'JPG' : 'jpg'}`, body: bytesOf(`image ${i}`, (i * 7919) % 24_000) }
    yield { path: `${stem}.json`, body: Buffer.from(JSON.stringify({ label: i % 10, i })) }
    if (i % 3 === 0) yield { path: `${stem}.seg.png`, body: bytesOf(`mask ${i}`, i % 9 === 0 ? 0 : 1_000) }
  }
}

/** WebDataset's own rule: the key ends at the basename's first dot, the rest, lowercased, is the extension. */
export function sampleOf(path: string): { key: string; field: string } {
  const slash = path.lastIndexOf('/') + 1
  const dot = path.indexOf('.', slash)
  return { key: path.slice(0, dot), field: path.slice(dot + 1).toLowerCase() }
}
