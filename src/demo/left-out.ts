import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as z from 'zod'
import type { DemoReport } from '../commands/demo.ts'
import type { PackReport } from '../commands/pack.ts'

/** More than these go into a file. */
const SHOWN = 10

/** Where a long list of left-out files goes: outside the folder that is removed. */
async function writeLeftOut(
  left: readonly { key: string; reason: string }[],
  options: { folder: string | undefined; env: Readonly<Record<string, string | undefined>> },
): Promise<string> {
  const parent =
    options.folder ?? (await mkdtemp(join(options.env.TMPDIR ?? tmpdir(), 'longshore-left-out-')))
  const path = join(parent, 'left-out.tsv')
  await writeFile(path, left.map(({ key, reason }) => `${reason}\t${JSON.stringify(key)}\n`).join(''))
  return path
}

/** What the demo's report says of the files that pack left out. */
export async function leftOut(
  left: PackReport['left'],
  folder: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<DemoReport['left']> {
  const reasons: Record<string, number> = {}
  for (const { reason } of left) reasons[reason] = (reasons[reason] ?? 0) + 1
  const result = { count: left.length, reasons, first: left.slice(0, SHOWN) }
  return left.length > SHOWN ? { ...result, file: await writeLeftOut(left, { folder, env }) } : result
}

/** All of them: the report holds the first thousand, the list in the bucket every one. */
export function listLeft(report: PackReport, list: Buffer | undefined): PackReport['left'] {
  if (list === undefined) return report.left
  const line = z.object({ key: z.string(), reason: z.string() })
  return list
    .toString()
    .split('\n')
    .filter((text) => text !== '')
    .map((text) => line.parse(JSON.parse(text)))
}
