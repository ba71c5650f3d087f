import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from './measure.ts'
import type { Bench } from './types.ts'

/** System calls an object, by name, as strace(1) counts them over all threads and children. Throws without strace. */
export async function countCalls(
  bench: Pick<Bench, 'dir' | 'measure'>,
  command: Command,
  objects: number,
): Promise<Record<string, number>> {
  const table = join(bench.dir, 'strace')
  try {
    const argv = ['strace', '-f', '-qq', '-c', '-S', 'calls', '-o', table, ...command.argv]
    await bench.measure({ ...command, argv })
    return parseTable(await readFile(table, 'utf8'), objects)
  } finally {
    await rm(table, { force: true })
  }
}

/** Lines of `% time, seconds, usecs/call, calls, [errors,] syscall`. */
function parseTable(table: string, objects: number): Record<string, number> {
  const calls: Record<string, number> = {}
  for (const line of table.split('\n')) {
    const match = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+([a-z_]\w*)$/.exec(line)
    if (match?.[1] !== undefined && match[2] !== undefined && match[2] !== 'total')
      calls[match[2]] = Number(match[1]) / objects
  }
  return calls
}
