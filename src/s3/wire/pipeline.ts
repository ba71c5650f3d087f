import { openBusyShare } from '../../busy-share.ts'

/** ms; a server whose fastest answer took longer is far: its time goes by on the way, and connections hide that better */
const NEAR_MS = 5
/** Share of the time in which the thread is busy from which it asks ahead, and below which it stops. */
const BUSY = 0.5
const IDLE = 0.25
/** Windows after the first question ahead until it is judged; the first of them shows nothing yet. */
const JUDGED = 3
/** With fewer answers, and idler by so much, the thread waits for a server that could do more at once. */
const IDLER = 0.2
/** Windows until it is tried once more after that, and twice as many each time. */
const REST = 40
/** So many asked again say nothing: those of one or two connections that ended. More than a quarter of all do. */
const SOME = 32

/**
 * Whether small objects are asked for one behind the other on a connection, without waiting for the answers between
 * (RFC 9112, 9.3.2). A near server and a busy thread save a write, a read and two wake-ups a request by that. It is
 * bad for the rest: a server answers a connection's requests one after the other.
 */
export interface Pipeline {
  readonly on: boolean
  /** This server has answered a request that was asked behind another. */
  readonly proven: boolean
  /** A request came back after `ms`; `behind`: it was asked behind another. */
  answered(ms: number, behind: boolean): void
  /** One came to nothing with others on one connection, which the server ended, and was answered by itself. */
  askedAgain(): void
  /** The server does not answer what is asked behind others as it should: never again. */
  misled(): void
  /** From the sweep, in even intervals. */
  look(): void
}

/** `busy`: share of the time since it was asked last in which the thread was busy. */
export function openPipeline(busy: () => number = openBusyShare()): Pipeline {
  let on = false
  let over = false
  let fastest = Number.POSITIVE_INFINITY
  let answers = 0
  let behindAnswers = 0
  let again = 0
  let before = { answers: 0, busy: 0 }
  let since: { answers: number; busy: number }[] = []
  let rest = 0
  let nextRest = REST

  const end = () => {
    on = false
    over = true
  }
  const judge = () => {
    const [, ...windows] = since
    const mean = (of: 'answers' | 'busy') => windows.reduce((sum, one) => sum + one[of], 0) / windows.length
    if (mean('answers') >= before.answers || mean('busy') >= before.busy - IDLER) return
    on = false
    rest = nextRest
    nextRest *= 2
  }
  return {
    get on() {
      return on
    },
    get proven() {
      return behindAnswers > 0
    },
    answered(ms, behind) {
      answers++
      if (behind) behindAnswers++
      else if (ms < fastest) fastest = ms
    },
    askedAgain() {
      if (++again > Math.max(behindAnswers / 4, SOME)) end()
    },
    misled: end,
    look() {
      const window = { answers, busy: busy() }
      answers = 0
      if (over) return
      if (rest > 0) rest--
      else if (!on) {
        on = window.busy >= BUSY && fastest <= NEAR_MS
        before = window
        since = []
      } else if (window.busy < IDLE) on = false
      else if (since.length < JUDGED && since.push(window) === JUDGED) judge()
    },
  }
}
