import type { Progress } from '../progress.ts'
import { bytes, clock, count } from './format.ts'
import type { Log } from './log.ts'
import { barView } from './progress-bar.ts'

/** What the views draw from. */
export interface Tally {
  phase: string
  bytes: number
  bytesTotal: number
  objects: number
  objectsTotal: number
  retries: number
  /** bytes and objects a second over about the last ten seconds */
  bytesRate: number
  objectsRate: number
  /** seconds to the end of the phase; undefined: not known */
  eta: number | undefined
}

export interface View {
  /** Called once a second while a phase runs, and when one begins or ends. */
  update(tally: Tally, moment: 'begin' | 'tick' | 'end'): void
  stop(): void
}

export interface Display extends Progress {
  /** Ends the bar, so that results and prompts find a clean line. Idempotent. */
  stop(): void
}

export interface DisplayOptions {
  mode: 'bar' | 'plain' | 'json' | 'none'
  log: Log
  /** stdout lines of `--json`; undefined: no --json. */
  writeJson: ((line: Record<string, unknown>) => void) | undefined
  stderr: NodeJS.WriteStream
  /** Finished things are told on stderr without -v: for `sync`, where they are the news. */
  showItems: boolean
}

/** Phases in which somebody else's program has the terminal: nothing is drawn. */
const QUIET_PHASES = new Set(['run'])
const PLAIN_EVERY = 10

/** Counts what jobs report and lets a view show it. The timer never keeps the process alive. */
export async function createDisplay(options: DisplayOptions): Promise<Display> {
  const { log, writeJson } = options
  const view = options.mode === 'bar' ? await barView(options.stderr, log) : otherView(options)
  const tally: Tally = emptyTally('')
  let samples: { at: number; bytes: number; objects: number }[] = []
  let stopped = false
  let changed = false

  const refresh = (): void => {
    const now = Date.now() / 1000
    samples.push({ at: now, bytes: tally.bytes, objects: tally.objects })
    const first = samples.find((sample) => now - sample.at <= PLAIN_EVERY) ?? samples[0]
    while (samples[0] !== first) samples.shift()
    const span = first === undefined ? 0 : now - first.at
    if (first !== undefined && span > 0) {
      tally.bytesRate = (tally.bytes - first.bytes) / span
      tally.objectsRate = (tally.objects - first.objects) / span
    }
    tally.eta = remaining(tally)
  }
  const tick = (): void => {
    if (stopped || tally.phase === '' || QUIET_PHASES.has(tally.phase)) return
    if (!changed && options.mode !== 'bar') return
    changed = false
    refresh()
    view.update(tally, 'tick')
  }
  const timer = setInterval(tick, options.mode === 'bar' ? 250 : 1000)
  timer.unref()

  const endPhase = (): void => {
    if (tally.phase === '' || QUIET_PHASES.has(tally.phase)) return
    refresh()
    view.update(tally, 'end')
  }

  return {
    phase(name) {
      if (stopped) return
      endPhase()
      const { retries } = tally
      Object.assign(tally, emptyTally(name), { retries })
      samples = [{ at: Date.now() / 1000, bytes: 0, objects: 0 }]
      changed = true
      if (QUIET_PHASES.has(name)) view.stop()
      else view.update(tally, 'begin')
    },
    expect(todo) {
      tally.bytesTotal += todo.bytes ?? 0
      tally.objectsTotal += todo.objects ?? 0
      changed = true
    },
    done(part) {
      tally.bytes += part.bytes ?? 0
      tally.objects += part.objects ?? 0
      changed = true
    },
    retry(reason) {
      tally.retries++
      changed = true
      log.write('debug', `retry: ${reason}`)
    },
    warn(message, about = {}) {
      writeJson?.({ type: 'item', kind: 'warning', message, ...about })
      const hint = about.hint === undefined ? '' : ` — ${about.hint}`
      const path = about.path === undefined || message.includes(about.path) ? '' : ` (${about.path})`
      log.write('warn', `${message}${path}${hint}`, about)
    },
    debug(message) {
      log.write('debug', message)
    },
    item(kind, fields) {
      const { type: _type, kind: _kind, ...rest } = fields
      writeJson?.({ type: 'item', kind, ...rest })
      log.write(options.showItems ? 'info' : 'debug', itemText(kind, fields), { kind, ...fields })
    },
    stop() {
      if (stopped) return
      endPhase()
      stopped = true
      clearInterval(timer)
      view.stop()
    },
  }
}

function emptyTally(phase: string): Tally {
  return {
    phase,
    bytes: 0,
    bytesTotal: 0,
    objects: 0,
    objectsTotal: 0,
    retries: 0,
    bytesRate: 0,
    objectsRate: 0,
    eta: undefined,
  }
}

function remaining(tally: Tally): number | undefined {
  if (tally.bytesTotal > 0 && tally.bytesRate > 0) {
    return Math.max(0, tally.bytesTotal - tally.bytes) / tally.bytesRate
  }
  if (tally.bytesTotal === 0 && tally.objectsTotal > 0 && tally.objectsRate > 0) {
    return Math.max(0, tally.objectsTotal - tally.objects) / tally.objectsRate
  }
  return undefined
}

function otherView({ mode, log, writeJson }: DisplayOptions): View {
  if (mode === 'json') return jsonView(writeJson ?? (() => {}))
  if (mode === 'none') return { update() {}, stop() {} }
  return plainView(log)
}

/** One line every ten seconds, and none for what takes less. */
export function plainView(log: Log): View {
  let last = Date.now()
  return {
    update(tally, moment) {
      if (moment !== 'tick' || Date.now() - last < PLAIN_EVERY * 1000) return
      last = Date.now()
      log.write('info', plainText(tally), { ...tally })
    },
    stop() {},
  }
}

export function plainText(tally: Tally): string {
  const parts: string[] = []
  if (tally.bytesTotal > 0 || tally.bytes > 0) {
    const of = tally.bytesTotal > 0 ? ` of ${bytes(tally.bytesTotal)}` : ''
    const share = tally.bytesTotal > 0 ? `${Math.floor((100 * tally.bytes) / tally.bytesTotal)}% ` : ''
    parts.push(`${share}${bytes(tally.bytes)}${of}`)
  }
  if (tally.objectsTotal > 0 || tally.objects > 0) {
    const of = tally.objectsTotal > 0 ? ` of ${count(tally.objectsTotal)}` : ''
    parts.push(`${count(tally.objects)}${of} objects`)
  }
  if (tally.bytesRate > 0) parts.push(`${bytes(tally.bytesRate)}/s`)
  else if (tally.objectsRate > 0) parts.push(`${count(Math.round(tally.objectsRate))} objects/s`)
  if (tally.eta !== undefined) parts.push(`${clock(tally.eta)} left`)
  if (tally.retries > 0) parts.push(`${count(tally.retries)} retries`)
  return `${tally.phase}: ${parts.join(', ')}`
}

function jsonView(write: (line: Record<string, unknown>) => void): View {
  return {
    update(tally, moment) {
      write({
        type: 'progress',
        phase: tally.phase,
        bytes: tally.bytes,
        bytesTotal: tally.bytesTotal,
        objects: tally.objects,
        objectsTotal: tally.objectsTotal,
        bytesPerSecond: Math.round(tally.bytesRate),
        retries: tally.retries,
        ...(moment === 'end' ? { ended: true } : {}),
      })
    },
    stop() {},
  }
}

function itemText(kind: string, fields: Readonly<Record<string, unknown>>): string {
  const parts = Object.entries(fields)
    .filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value))
    .map(([key, value]) =>
      key === 'bytes' || key === 'size'
        ? bytes(Number(value))
        : key === 'name' || key === kind
          ? String(value)
          : `${key} ${short(value)}`,
    )
  return [kind, ...parts].join(' ')
}

function short(value: unknown): string {
  return typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(1) : String(value)
}
