import { S3Failure } from './failure.ts'
import type { FaultAction, FaultMatch, FaultRule } from './fault-rule.ts'
import type { Route } from './route.ts'

/** What the faults that struck a request do to it, gathered. */
export interface Effects {
  delayMs: number
  /** Answered instead of the operation's own answer. */
  failure?: S3Failure | undefined
  resetAfter?: number | undefined
  resetFirst: boolean
  stallFirst: boolean
  stallAfter?: number | undefined
  shortBody?: { bytes: number; honest: boolean } | undefined
  flipAt?: number | undefined
  lostAnswer: boolean
  errorIn200?: { code: string; message: string } | undefined
  unsorted: boolean
  bytesPerSecond?: number | undefined
  ignoreConditions: boolean
  noChecksums?: number | undefined
  cutHeadAfter?: number | undefined
  slowHead?: { bytes: number; ms: number } | undefined
  /** By lower-case name; undefined: left out. */
  headers: Readonly<Record<string, string | undefined>>
  extraBytes: number
  chunked: boolean
  interim?: 100 | 102 | undefined
}

export const NO_EFFECTS: Readonly<Effects> = {
  delayMs: 0,
  resetFirst: false,
  stallFirst: false,
  lostAnswer: false,
  unsorted: false,
  ignoreConditions: false,
  headers: {},
  extraBytes: 0,
  chunked: false,
}

export interface Faults {
  add(rule: FaultRule): () => void
  clear(): void
  /** Counts the request against every rule that matches it, in the order the rules were added. */
  strike(method: string, route: Route): Effects
}

const CODES: Record<number, [string, string]> = {
  409: [
    'ConditionalRequestConflict',
    'A conflicting conditional operation is currently in progress against this resource.',
  ],
  429: ['TooManyRequests', 'Please reduce your request rate.'],
  500: ['InternalError', 'We encountered an internal error. Please try again.'],
  503: ['SlowDown', 'Please reduce your request rate.'],
}

interface Active {
  rule: FaultRule
  seen: number
  struck: number
  random: () => number
}

export function openFaults(rules: readonly FaultRule[]): Faults {
  const active = new Set<Active>()
  const add = (rule: FaultRule) => {
    const entry: Active = { rule, seen: 0, struck: 0, random: generator(rule.match?.seed ?? 1) }
    active.add(entry)
    return () => void active.delete(entry)
  }
  for (const rule of rules) add(rule)
  return {
    add,
    clear: () => active.clear(),
    strike(method, route) {
      const effects: Effects = { ...NO_EFFECTS }
      for (const entry of active) {
        if (!matches(entry.rule.match, method, route) || !takesTurn(entry)) continue
        for (const action of chosen(entry)) apply(effects, action)
      }
      return effects
    },
  }
}

function chosen({ rule, struck }: Active): readonly FaultAction[] {
  const actions = isList(rule.do) ? rule.do : [rule.do]
  return rule.inTurn ? actions.slice((struck - 1) % actions.length).slice(0, 1) : actions
}

function isList(actions: FaultAction | readonly FaultAction[]): actions is readonly FaultAction[] {
  return Array.isArray(actions)
}

function matches(match: FaultMatch | undefined, method: string, route: Route): boolean {
  if (match === undefined) return true
  const { operation, bucket, key } = match
  if (match.method !== undefined && match.method !== method) return false
  if (typeof operation === 'string' && operation !== route.operation) return false
  if (operation !== undefined && typeof operation !== 'string' && !operation.includes(route.operation))
    return false
  if (bucket !== undefined && bucket !== route.bucket) return false
  if (key === undefined) return true
  if (typeof key === 'string') return key === route.key
  key.lastIndex = 0
  return key.test(route.key)
}

function takesTurn(entry: Active): boolean {
  const { skip = 0, every = 1, first = Number.POSITIVE_INFINITY, probability = 1 } = entry.rule.match ?? {}
  entry.seen++
  const turn = entry.seen - skip
  if (turn <= 0 || turn % every !== 0 || entry.struck >= first) return false
  if (probability < 1 && entry.random() >= probability) return false
  entry.struck++
  return true
}

function apply(effects: Effects, action: FaultAction): void {
  switch (action.kind) {
    case 'status': {
      const [code, message] = CODES[action.status] ?? ['InternalError', 'A fault that was asked for.']
      effects.failure ??= new S3Failure(action.code ?? code, action.message ?? message, {
        status: action.status,
        headers: action.retryAfter === undefined ? {} : { 'retry-after': String(action.retryAfter) },
      })
      return
    }
    case 'expired-token':
      effects.failure ??= new S3Failure('ExpiredToken', 'The provided token has expired.')
      return
    case 'delay':
      effects.delayMs += action.ms
      return
    case 'stall':
      if (action.afterBytes === undefined) effects.stallFirst = true
      else effects.stallAfter = action.afterBytes
      return
    case 'reset':
      if (action.afterBytes === undefined) effects.resetFirst = true
      else effects.resetAfter = action.afterBytes
      return
    case 'short-body':
      effects.shortBody = { bytes: action.bytes, honest: action.honest ?? false }
      return
    case 'flip-byte':
      effects.flipAt = action.at ?? 0
      return
    case 'lost-answer':
      effects.lostAnswer = true
      return
    case 'error-in-200':
      effects.errorIn200 = {
        code: action.code ?? 'InternalError',
        message: action.message ?? 'We encountered an internal error. Please try again.',
      }
      return
    case 'unsorted':
      effects.unsorted = true
      return
    case 'throttle':
      effects.bytesPerSecond = action.bytesPerSecond
      return
    case 'ignore-conditions':
      effects.ignoreConditions = true
      return
    case 'no-checksums':
      effects.noChecksums = action.status ?? 501
      return
    case 'cut-head':
      effects.cutHeadAfter = action.bytes
      return
    case 'slow-head':
      effects.slowHead = { bytes: action.bytes, ms: action.ms }
      return
    case 'header':
      effects.headers = { ...effects.headers, [action.name.toLowerCase()]: action.value }
      return
    case 'extra-bytes':
      effects.extraBytes = action.bytes
      return
    case 'chunked':
      effects.chunked = true
      return
    case 'interim':
      effects.interim = action.status ?? 100
      return
    case 'redirect':
      effects.failure ??= redirect(action)
  }
}

function redirect(action: Extract<FaultAction, { kind: 'redirect' }>): S3Failure {
  const { status = 307, location, region } = action
  const permanent = status === 301 || status === 308
  return new S3Failure(
    permanent ? 'PermanentRedirect' : 'TemporaryRedirect',
    'Please re-send this request to the specified endpoint.',
    {
      status,
      details: location === undefined ? {} : { Endpoint: location },
      headers: {
        ...(location === undefined ? {} : { location }),
        ...(region === undefined ? {} : { 'x-amz-bucket-region': region }),
      },
    },
  )
}

/** xorshift32: enough to choose requests by. */
function generator(seed: number): () => number {
  let state = (seed | 0) === 0 ? 1 : seed | 0
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 0x100000000
  }
}
