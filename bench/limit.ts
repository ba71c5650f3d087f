import { cpuOf, secondsOf, serverCpuOf } from './stats.ts'
import type { Contest, Entrant } from './types.ts'

/** What was measured about the limit of our time in a contest: whose CPU time it was, and what a free client would get. */
export function limitOf(contest: Contest, cores: number): string[] {
  const ours = contest.entrants.find((entrant) => entrant.name === 'longshore')
  if (ours === undefined || ours.failed !== undefined || ours.runs.length === 0) return []
  const seconds = secondsOf(ours)
  const all = seconds * cores
  const own = cpuOf(ours)
  const server = serverCpuOf(ours)
  const share = (cpu: number) => `${Math.round((cpu / all) * 100)}%`
  const lines: string[] = []
  const split =
    server === undefined
      ? ''
      : `, the server's ${server.toFixed(2)} s (${share(server)}, ${micros(server, contest)})`
  lines.push(
    `Of ${cores} cores for ${seconds.toFixed(2)} s, longshore's CPU was ${own.toFixed(2)} s (${share(own)}, ` +
      `${micros(own, contest)})${split}.`,
  )
  if (server !== undefined) lines.push(...floor(contest, server / cores))
  const large = isLarge(contest)
  // They were counted an object; of a large one the figure by itself says nothing.
  const scale = large ? contest.objects / (contest.bytes / 2 ** 20) : 1
  const others = contest.entrants.filter((entrant) => entrant !== ours)
  const calls = [ours, ...others].flatMap((entrant) => callsOf(entrant, scale))
  if (calls.length > 0)
    lines.push(`System calls ${large ? 'a MiB' : 'an object'} (strace): ${calls.join('; ')}.`)
  return lines
}

/** A client that cost no CPU at all would still wait for the server's. */
function floor(contest: Contest, seconds: number): string[] {
  const peers = contest.entrants.filter((entrant) => entrant.name !== 'longshore' && entrant.runs.length > 0)
  const best = peers.map((peer) => `${(secondsOf(peer) / seconds).toFixed(1)}× ${peer.name}`)
  return best.length === 0
    ? []
    : [
        `The server's CPU alone takes ${seconds.toFixed(2)} s on these cores: a client that cost nothing would ` +
          `reach ${best.join(', ')}.`,
      ]
}

function micros(seconds: number, contest: Contest): string {
  return isLarge(contest)
    ? `${((seconds * 1000) / (contest.bytes / 2 ** 20)).toFixed(2)} ms a MiB`
    : `${((seconds * 1e6) / contest.objects).toFixed(0)} µs an object`
}

function isLarge(contest: Contest): boolean {
  return contest.bytes / contest.objects > 2 ** 20
}

function callsOf(entrant: Entrant, scale: number): string[] {
  if (entrant.calls === undefined) return []
  const all = Object.entries(entrant.calls)
    .map(([name, count]): [string, number] => [name, count * scale])
    .sort(([, a], [, b]) => b - a)
  const total = all.reduce((sum, [, count]) => sum + count, 0)
  const top = all.slice(0, 6).map(([name, count]) => `${name} ${count.toFixed(1)}`)
  return [`${entrant.name} ${total.toFixed(1)} (${top.join(', ')})`]
}
