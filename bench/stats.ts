import type { Claim, Entrant, Run } from './types.ts'

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  if (sorted.length % 2 === 1) return upper
  return (upper + (sorted[sorted.length / 2 - 1] ?? Number.NaN)) / 2
}

export function secondsOf(entrant: Entrant): number {
  return median(entrant.runs.map((run) => run.seconds))
}

export function cpuOf(entrant: Entrant): number {
  return median(entrant.runs.map(cpu))
}

export function cpu(run: Run): number {
  return run.userSeconds + run.systemSeconds
}

/** Undefined where the server is elsewhere. */
export function serverCpuOf(entrant: Entrant): number | undefined {
  const values = entrant.runs.flatMap((run) => (run.serverSeconds === undefined ? [] : [run.serverSeconds]))
  return values.length === 0 ? undefined : median(values)
}

/** The largest of all runs: a budget holds always or not at all. */
export function rssOf(entrant: Entrant): number {
  return Math.max(...entrant.runs.map((run) => run.peakRss))
}

interface Bounds {
  atLeast?: number
  aim?: number
}

/** How many times a peer's time ours goes into. */
export function speed(ours: Entrant | undefined, peer: Entrant | undefined, bounds: Bounds): Claim {
  return { what: 'speed', against: peer?.name, value: ratio(ours, peer, secondsOf), unit: '×', ...bounds }
}

/** How many times a peer's CPU time ours goes into. */
export function thrift(ours: Entrant | undefined, peer: Entrant | undefined, bounds: Bounds): Claim {
  return { what: 'CPU', against: peer?.name, value: ratio(ours, peer, cpuOf), unit: '×', ...bounds }
}

function ratio(
  ours: Entrant | undefined,
  peer: Entrant | undefined,
  of: (entrant: Entrant) => number,
): number | undefined {
  if (ours === undefined || peer === undefined) return undefined
  if (ours.failed !== undefined || peer.failed !== undefined) return undefined
  const value = of(peer) / of(ours)
  return Number.isFinite(value) ? value : undefined
}
