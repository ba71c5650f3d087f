import type { Bench, Row, RowResult, Scheme, Target } from './types.ts'

/** Runs the rows one after the other; one that fails says so, and the others go on. */
export async function runRows(
  bench: Bench,
  rows: readonly Row[],
  done: (result: { scheme: Scheme; row: RowResult }) => Promise<void>,
): Promise<void> {
  const last = rows.at(-1)
  for (const [i, row] of rows.entries()) {
    for (const target of targetsOf(bench, row)) {
      bench.say(`row ${row.id}, ${target.scheme}: ${row.title}`)
      const result = await attempt(bench, row, target)
      await done({ scheme: target.scheme, row: result })
    }
    if (row === last) return
    const later = new Set(rows.slice(i + 1).flatMap((next) => next.reads(bench.sizes)))
    const [target] = bench.targets
    for (const id of row.reads(bench.sizes)) {
      if (target !== undefined && !later.has(id)) await bench.data.drop(target, id)
    }
  }
}

async function attempt(bench: Bench, row: Row, target: Target): Promise<RowResult> {
  try {
    return { id: row.id, title: row.title, ...(await row.run(bench, target)) }
  } catch (error) {
    if (bench.signal.aborted) throw error
    const failed = error instanceof Error ? error.message : String(error)
    bench.say(`row ${row.id} failed: ${failed}`)
    return { id: row.id, title: row.title, contests: [], notes: [], failed }
  }
}

/** Where only the other scheme is to be had, the row is measured with that one. */
function targetsOf(bench: Bench, row: Row): Target[] {
  const wanted = bench.targets.filter((target) => row.schemes.includes(target.scheme))
  return wanted.length > 0 ? wanted : bench.targets
}
