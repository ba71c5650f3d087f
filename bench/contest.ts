import { countCalls } from './syscalls.ts'
import type { Bench, Claim, Contest, Entrant, Run, Target } from './types.ts'

/** What a contest needs of the bench. */
export type Stage = Pick<Bench, 'runs' | 'quick' | 'dir' | 'peers' | 'measure' | 'tuned' | 'signal' | 'say'>

/** A tool in a contest: how it is run, how what it did is judged, how the traces of it are removed. */
export interface Contestant {
  name: string
  /** With settings to choose from, the fastest in the warm-up is the one that is measured. */
  ways: Way[]
  /** Throws when the work was not done. Thorough: once, not after each run. */
  check(about: { stdout: string; thorough: boolean }): Promise<void>
  /** Outside of the measured time, before and after every run. */
  clear(): Promise<void>
  /** Kind of work: rows with the same kind share the best setting. */
  kind?: string
}

export interface Way {
  setting: string
  argv: string[]
  env?: NodeJS.ProcessEnv
}

export interface ContestOptions {
  title: string
  objects: number
  bytes: number
  contestants: Contestant[]
  /** False: straight to the measured runs, with each contestant's first way (default: true). */
  warmUp?: boolean
  claims(entrants: (name: string) => Entrant | undefined): Claim[]
}

/**
 * Runs the contestants in turn (A B C, B C A, …): whatever else the machine does meanwhile hits all of them alike.
 * One that fails is out, and the others go on.
 */
export async function contest(bench: Stage, target: Target, options: ContestOptions): Promise<Contest> {
  const { title, objects, bytes } = options
  const cold = bench.quick || options.warmUp === false
  const lanes: Lane[] = []
  for (const contestant of options.contestants) {
    lanes.push(cold ? first(bench, target, contestant) : await warmUp(bench, target, contestant, title))
  }
  for (let round = 0; round < bench.runs; round++) {
    for (const lane of rotated(lanes, round)) {
      if (lane.entrant.failed !== undefined) continue
      const run = await attempt(bench, target, lane, cold && round === 0)
      if (run !== undefined) lane.entrant.runs.push(run)
      tell(bench, `${title}, ${target.scheme}, ${round + 1}/${bench.runs}`, lane, run)
    }
  }
  const entrants = lanes.map((lane) => lane.entrant)
  const claims = options.claims((name) => entrants.find((each) => each.name === name))
  if (!bench.quick && claims.some(short)) await traceCalls(bench, target, lanes, objects)
  return { title, scheme: target.scheme, server: target.name, objects, bytes, entrants, claims }
}

interface Lane {
  contestant: Contestant
  way: Way
  entrant: Entrant
}

function first(bench: Stage, target: Target, contestant: Contestant): Lane {
  const [way] = contestant.ways
  if (way === undefined) throw new Error(`${contestant.name} has no way to run`)
  return laneOf(bench, target, contestant, way)
}

/** One run of each way, or only of the one that an earlier row found to be the best. */
async function warmUp(bench: Stage, target: Target, contestant: Contestant, title: string): Promise<Lane> {
  const key = `${contestant.name}/${contestant.kind ?? title}/${target.scheme}`
  const known = contestant.ways.filter((way) => way.setting === bench.tuned.get(key))
  let best: { lane: Lane; seconds: number } | undefined
  let failed: Lane | undefined
  for (const way of known.length > 0 ? known : contestant.ways) {
    const lane = laneOf(bench, target, contestant, way)
    const run = await attempt(bench, target, lane, true)
    tell(bench, `${title}, ${target.scheme}, warm-up ${way.setting}`, lane, run)
    if (run === undefined) failed = lane
    else if (best === undefined || run.seconds < best.seconds) best = { lane, seconds: run.seconds }
  }
  if (best !== undefined) bench.tuned.set(key, best.lane.way.setting)
  return best?.lane ?? failed ?? first(bench, target, contestant)
}

function laneOf(bench: Stage, target: Target, contestant: Contestant, way: Way): Lane {
  return {
    contestant,
    way,
    entrant: { name: contestant.name, line: lineOf(bench, target, way), runs: [] },
  }
}

/** Undefined, and the entrant marked, when it failed. */
async function attempt(
  bench: Stage,
  target: Target,
  lane: Lane,
  thorough: boolean,
): Promise<Run | undefined> {
  const { contestant, way, entrant } = lane
  try {
    await contestant.clear()
    const { run, stdout } = await bench.measure(commandOf(target, way))
    await contestant.check({ stdout, thorough })
    return run
  } catch (error) {
    if (bench.signal.aborted) throw error
    entrant.failed = error instanceof Error ? error.message : String(error)
    return undefined
  } finally {
    await contestant.clear()
  }
}

function commandOf(target: Target, way: Way) {
  return { argv: way.argv, env: { ...target.env, ...way.env }, serverPids: target.serverPids }
}

/** One more run of each under strace, which slows them down too much to be measured at the same time. */
async function traceCalls(bench: Stage, target: Target, lanes: Lane[], objects: number): Promise<void> {
  for (const { contestant, way, entrant } of lanes) {
    if (entrant.failed !== undefined) continue
    try {
      await contestant.clear()
      entrant.calls = await countCalls(bench, commandOf(target, way), objects)
    } catch (error) {
      if (bench.signal.aborted) throw error
    } finally {
      await contestant.clear()
    }
  }
}

/** Whether a claim was measured and misses its aim (or its bound, when it has no aim). */
function short(claim: Claim): boolean {
  if (claim.value === undefined) return false
  if (claim.atMost !== undefined) return claim.value > (claim.aim ?? claim.atMost)
  return claim.value < (claim.aim ?? claim.atLeast ?? claim.value)
}

function rotated<T>(items: T[], by: number): T[] {
  const at = items.length === 0 ? 0 : by % items.length
  return [...items.slice(at), ...items.slice(0, at)]
}

function lineOf(bench: Stage, target: Target, way: Way): string {
  const names: [string, string][] = [
    [bench.peers.s5cmd, 's5cmd'],
    [bench.peers.rclone, 'rclone'],
    [`${process.execPath} `, ''],
    [`${new URL('../bin/longshore.js', import.meta.url).pathname}`, 'longshore'],
    ...(target.caBundle === undefined ? [] : [[target.caBundle, '$CA'] satisfies [string, string]]),
    ...(target.endpointUrl === undefined ? [] : [[target.endpointUrl, '$URL'] satisfies [string, string]]),
    [bench.dir, '$DIR'],
  ]
  const variables = Object.entries(way.env ?? {}).map(([name, value]) => `${name}=${value} `)
  const words = way.argv.map((word) => (/[*\s;|&$]/.test(word) ? `'${word}'` : word))
  return names.reduce((line, [from, to]) => line.replaceAll(from, to), variables.join('') + words.join(' '))
}

function tell(bench: Stage, what: string, { entrant }: Lane, run: Run | undefined): void {
  const result =
    run === undefined
      ? `failed: ${entrant.failed}`
      : `${run.seconds.toFixed(2)} s, CPU ${(run.userSeconds + run.systemSeconds).toFixed(2)} s`
  bench.say(`${what}: ${entrant.name} ${result}`)
}
