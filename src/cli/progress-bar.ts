import { bytes, clock, count, width } from './format.ts'
import type { Log } from './log.ts'
import type { Tally, View } from './progress.ts'

/** A bar in one line of a terminal. The cursor comes back in every way that this process can end but kill -9. */
export async function barView(stream: NodeJS.WriteStream, log: Log): Promise<View> {
  const { default: progress } = await import('cli-progress')
  let current: Tally | undefined
  let bar: InstanceType<typeof progress.SingleBar> | undefined
  // cli-progress hides the cursor; process.exit() at a second signal leaves it no chance to show it again.
  const showCursor = (): void => {
    stream.write('\x1b[?25h')
  }
  const begin = (): void => {
    if (bar !== undefined) return
    bar = new progress.SingleBar({
      format: () => (current === undefined ? '' : barText(current, (stream.columns || 80) - 1)),
      stream,
      hideCursor: true,
      clearOnComplete: true,
      forceRedraw: true,
      gracefulExit: false,
      fps: 5,
      linewrap: false,
    })
    bar.start(1, 0)
    process.once('exit', showCursor)
    log.around = { before: () => stream.write('\r\x1b[K'), after: () => bar?.render() }
  }
  const end = (): void => {
    if (bar === undefined) return
    bar.stop()
    bar = undefined
    log.around = undefined
    process.off('exit', showCursor)
  }
  return {
    update(tally, moment) {
      current = tally
      if (moment === 'begin') begin()
    },
    stop: end,
  }
}

/** `fetch   ━━━━━━────  45% 1.2/3.4 GiB  1,234/20,000  110 MiB/s  0:32  2 retries`, never over `columns`. */
export function barText(tally: Tally, columns: number): string {
  const share = shareOf(tally)
  const parts: string[] = []
  if (share !== undefined) parts.push(`${String(Math.floor(share * 100)).padStart(3)}%`)
  if (tally.bytes > 0 || tally.bytesTotal > 0) {
    parts.push(tally.bytesTotal > 0 ? pair(tally.bytes, tally.bytesTotal) : bytes(tally.bytes))
  }
  const objects =
    tally.objectsTotal > 0 ? `${count(tally.objects)}/${count(tally.objectsTotal)}` : count(tally.objects)
  parts.push(`${objects} obj`)
  // What follows is left out first on a narrow terminal.
  const rest: string[] = []
  if (tally.bytesRate > 0) rest.push(`${bytes(tally.bytesRate)}/s`)
  else if (tally.objectsRate > 0) rest.push(`${count(Math.round(tally.objectsRate))}/s`)
  if (tally.eta !== undefined) rest.push(clock(tally.eta))
  if (tally.retries > 0) rest.push(`${count(tally.retries)} ${tally.retries === 1 ? 'retry' : 'retries'}`)

  const name = tally.phase.padEnd(7)
  let text = [...parts, ...rest].join('  ')
  while (rest.length > 0 && width(name) + 1 + width(text) > columns) {
    rest.pop()
    text = [...parts, ...rest].join('  ')
  }
  const room = columns - width(name) - width(text) - 3
  const line =
    room >= 6 && share !== undefined
      ? `${name} ${drawn(share, Math.min(room, 30))}  ${text}`
      : `${name} ${text}`
  return line.slice(0, columns)
}

function shareOf(tally: Tally): number | undefined {
  if (tally.bytesTotal > 0) return Math.min(1, tally.bytes / tally.bytesTotal)
  if (tally.objectsTotal > 0) return Math.min(1, tally.objects / tally.objectsTotal)
  return undefined
}

function drawn(share: number, columns: number): string {
  const full = Math.floor(share * columns)
  return '━'.repeat(full) + '─'.repeat(columns - full)
}

/** `1.20/3.40 GiB`: one unit for both where they agree. */
function pair(done: number, total: number): string {
  const [a, b] = [bytes(done), bytes(total)]
  const [unitA, unitB] = [a.split(' ')[1], b.split(' ')[1]]
  return unitA === unitB ? `${a.split(' ')[0]}/${b}` : `${a}/${b}`
}
