import { limitOf } from './limit.ts'
import type { Machine } from './machine.ts'
import type { Saved } from './saved.ts'
import { cpu, cpuOf, median, rssOf, secondsOf, serverCpuOf } from './stats.ts'
import type { Claim, Contest, Entrant } from './types.ts'

/** Share of the machine that went to other work: above it a run is not one to compare with. */
const QUIET = 0.1

/** The results page, Markdown: what was promised, what was measured, and what stood in the way. */
export function report(saved: Saved[], { judged = true } = {}): string {
  const newest = saved.toSorted((a, b) => b.at.localeCompare(a.at))[0]
  if (newest === undefined) return '# Results\n\nNothing was measured.\n'
  const lines = ['# Results of `npm run bench`', '', ...machineLines(newest.machine), '']
  lines.push('How to read this, and how to run it: [docs/benchmarks.md](../docs/benchmarks.md).', '')
  lines.push('| row | | ours | peer | measured | at least | aim | |', '|---|---|---|---|---|---|---|---|')
  const shown = judged ? saved : saved.map(withoutBounds)
  for (const each of shown) lines.push(...each.row.contests.flatMap((contest) => claimLines(each, contest)))
  for (const each of shown) lines.push('', ...rowLines(each, newest))
  return `${lines.join('\n')}\n`
}

/** A quick run moves too little for the bounds to mean anything. */
function withoutBounds(saved: Saved): Saved {
  const contests = saved.row.contests.map((contest) => ({
    ...contest,
    claims: contest.claims.map(({ what, against, value, unit }) => ({ what, against, value, unit })),
  }))
  return { ...saved, row: { ...saved.row, contests } }
}

function machineLines(machine: Machine): string[] {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`)
  return [
    `${machine.cores} cores (${machine.cpu}), ${(machine.memory / 2 ** 30).toFixed(0)} GiB of memory, Linux ` +
      `${machine.kernel}, Node ${machine.node}; data and outputs on ${machine.filesystem}.`,
    `${versions.join(', ')}.`,
    'The server, where it runs here, takes its CPU time from the same cores: read ratios, not times.',
  ]
}

function claimLines({ row, scheme }: Saved, contest: Contest): string[] {
  return contest.claims.map((claim) => {
    const [ours, peer] = timesOf(contest, claim)
    const bound = claim.atLeast ?? claim.atMost
    const cells = [
      `${row.id}, ${scheme}: ${contest.title}`,
      claim.against === undefined ? claim.what : `${claim.what}, ${claim.against}`,
      ours,
      peer,
      claim.value === undefined ? '–' : amount(claim.value, claim.unit),
      bound === undefined ? '–' : `${claim.atMost === undefined ? '' : '≤ '}${amount(bound, claim.unit)}`,
      claim.aim === undefined ? '–' : amount(claim.aim, claim.unit),
      verdict(claim),
    ]
    return `| ${cells.join(' | ')} |`
  })
}

/** What the ratio was made of. */
function timesOf(contest: Contest, claim: Claim): [string, string] {
  const peer = contest.entrants.find((entrant) => entrant.name === claim.against)
  const ours = contest.entrants.find((entrant) => entrant.name === 'longshore')
  if (ours === undefined || peer === undefined || claim.value === undefined) return ['', '']
  const of = claim.what === 'CPU' ? cpuOf : secondsOf
  return [`${of(ours).toFixed(2)} s`, `${of(peer).toFixed(2)} s`]
}

export function verdict(claim: Claim): string {
  const { value, atLeast, atMost, aim } = claim
  if (atLeast === undefined && atMost === undefined) return value === undefined ? 'not measured' : ''
  if (value === undefined) return '**not measured**'
  const reaches = (bound: number | undefined) =>
    bound === undefined || (atMost === undefined ? value >= bound : value <= bound)
  if (!reaches(atLeast ?? atMost)) return '**missed**'
  return aim === undefined ? 'met' : reaches(aim) ? 'aim met' : 'met, aim missed'
}

function rowLines(saved: Saved, newest: Saved): string[] {
  const { row, scheme, at, machine, runs } = saved
  const lines = [`## ${row.id}. ${row.title}, ${scheme}`, '']
  const version = machine.versions.longshore
  const older = version === newest.machine.versions.longshore ? '' : ` with longshore ${version}`
  lines.push(`${at.slice(0, 10)}${older}, medians of ${runs} ${runs === 1 ? 'run' : 'runs'} in turn.`)
  const noise = Math.max(
    0,
    ...row.contests.flatMap((contest) => contest.entrants.map((each) => othersOf(each, machine))),
  )
  if (noise > QUIET) lines.push('', '**The machine was not quiet**: see the column "others".')
  if (row.failed !== undefined) lines.push('', `**Failed**: ${row.failed}`)
  for (const contest of row.contests) lines.push('', ...contestLines(contest, machine.cores))
  if (row.notes.length > 0) lines.push('', ...row.notes)
  return lines
}

function othersOf(entrant: Entrant, { cores }: { cores: number }): number {
  const shares = entrant.runs.map((run) => run.otherSeconds / (run.seconds * cores))
  return shares.length === 0 ? 0 : median(shares)
}

function contestLines(contest: Contest, cores: number): string[] {
  const mib = contest.bytes / 2 ** 20
  const size = mib < 1 ? '' : `, ${mib.toFixed(0)} MiB`
  const lines = [
    `**${contest.title}**: ${contest.objects.toLocaleString('en')} objects${size}; ${contest.server}.`,
    '',
    '| | wall s | CPU s | µs an object | MiB/s | peak RSS MiB | server CPU s | others |',
    '|---|---|---|---|---|---|---|---|',
    ...contest.entrants.map((entrant) => entrantLine(entrant, contest, cores)),
    '',
    ...contest.entrants.flatMap(({ name, line }) => [`- ${name}:`, ...fenced(line)]),
  ]
  const missed = contest.claims.filter((claim) => /missed/.test(verdict(claim)))
  if (missed.length === 0) return lines
  const limit = limitOf(contest, cores)
  return limit.length === 0 ? lines : [...lines, '', `**Limit, measured.** ${limit.join(' ')}`]
}

function entrantLine(entrant: Entrant, contest: Contest, cores: number): string {
  if (entrant.failed !== undefined)
    return `| ${entrant.name} | failed: ${inCell(entrant.failed)} ${'| '.repeat(7)}`
  const seconds = secondsOf(entrant)
  const own = cpuOf(entrant)
  const server = serverCpuOf(entrant)
  const user = median(entrant.runs.map((run) => run.userSeconds / cpu(run)))
  const others = othersOf(entrant, { cores })
  const cells = [
    entrant.name,
    seconds.toFixed(2),
    `${own.toFixed(2)} (user ${Math.round(user * 100)}%)`,
    ((own * 1e6) / contest.objects).toFixed(0),
    contest.bytes === 0 ? '–' : (contest.bytes / 2 ** 20 / seconds).toFixed(0),
    (rssOf(entrant) / 2 ** 20).toFixed(0),
    server === undefined ? '–' : server.toFixed(2),
    `${Math.round(others * 100)}%`,
  ]
  return `| ${cells.join(' | ')} |`
}

function fenced(line: string): string[] {
  return ['  ```', ...line.split('\n').map((each) => `  ${each}`), '  ```']
}

function amount(value: number, unit: Claim['unit']): string {
  if (unit === '×') return `${value.toFixed(value < 10 ? 2 : 1)}×`
  if (unit === '%') return `${value.toFixed(0)}%`
  return unit === '' ? value.toFixed(1) : `${value.toFixed(0)} ${unit}`
}

function inCell(text: string): string {
  return text.replaceAll('|', '/').replaceAll('\n', ' ')
}
