import type { S3Client } from '@aws-sdk/client-s3'
import { openAgents } from './agent.ts'
import { type Learned, makeClient } from './client.ts'
import { resolveEndpoint } from './endpoint.ts'
import { explain, type Subject } from './explain.ts'
import { type Failure, judge } from './failure.ts'
import { wireHandler } from './handler.ts'
import type { Sink } from './receive.ts'
import { backoffMs, pause } from './retry.ts'
import type { S3Settings } from './settings.ts'
import type { CallOptions } from './store.ts'

/** While nothing ever answered, a wrong endpoint must say so in about 5 s, not after every retry. */
const UNREACHABLE_RETRIES = 3
/** Stale kept-alive connections that are replaced without waiting, per call. */
const FREE_RETRIES = 3

/** ms of a server's Retry-After that one call waits in all; then someone should read the error. */
const HELD_OFF_MS = 300_000

/** What a command may be sent with. */
export interface SendOptions {
  abortSignal?: AbortSignal
  sink?: Sink
}

export interface Call extends CallOptions {
  /** 'GET', 'PUT' … for counts and messages. */
  kind: string
  key: string
  /** Set to true when an attempt failed that may have been carried out all the same. */
  ambiguous?: boolean
  /** Told what the failure was that is about to be thrown, explained: some failures are answers to the caller. */
  onFinal?: ((failure: Failure, error: unknown) => void) | undefined
}

/** Everything one bucket's store shares between its calls. */
export interface Session {
  readonly bucket: string
  /** With the endpoint as the environment and the profile give it. */
  readonly settings: S3Settings
  readonly url: string
  readonly learned: Learned
  /** The client of this moment: another one takes its place when the bucket's region is learned. */
  client(): S3Client
  send<T>(
    call: Call,
    attempt: (client: S3Client, options: SendOptions) => Promise<T>,
    sink?: Sink,
  ): Promise<T>
  close(): void
}

export interface SessionOptions {
  env: NodeJS.ProcessEnv
  signal?: AbortSignal | undefined
  onRetry?: ((reason: string) => void) | undefined
}

export async function openSession(
  bucket: string,
  asked: S3Settings,
  options: SessionOptions,
): Promise<Session> {
  const { env } = options
  const settings = { ...asked, endpointUrl: await resolveEndpoint(asked, env) }
  const { caBundle, noVerifySsl, timeoutMs } = settings
  const agents = openAgents({ env, caBundle, noVerifySsl, timeoutMs })
  const handler = wireHandler(agents, { timeoutMs })
  const learned: Learned = { noChecksums: false }
  const common = { bucket, settings, env, handler, learned }
  let client = await makeClient(common)
  // Credentials can be missing, or the endpoint wrong, only until something has once worked.
  const state = { answered: false, authorized: false, lessons: 0, worksWithout: false }
  const endpoint = settings.endpointUrl

  const learning = new Map<string, Promise<boolean>>()
  /** Learns what there is to learn from a failure; true when it makes sense to ask again at once. */
  const learn = async (failure: Failure, done: Set<string>, lessonsThen: number): Promise<boolean> => {
    const { remedy } = failure
    if (remedy === 'again' || remedy === 'unreachable' || remedy === 'final') return false
    // Asked before another call learned something: this refusal may be the same news.
    if (lessonsThen !== state.lessons && !done.has('meanwhile')) return done.add('meanwhile').size > 0
    if (done.has(remedy)) return false
    done.add(remedy)
    const lesson = learning.get(remedy) ?? take(failure).finally(() => learning.delete(remedy))
    learning.set(remedy, lesson)
    return lesson
  }
  const take = async (failure: Failure): Promise<boolean> => {
    switch (failure.remedy) {
      case 'region':
        if (failure.region === undefined || failure.region === (await client.config.region())) return false
        client = await makeClient({ ...common, region: failure.region })
        break
      case 'refresh':
        if (!(await refreshed(client))) return false
        break
      case 'checksums':
        if (learned.noChecksums) return false
        learned.noChecksums = true
        break
      default:
        // The SDK's signer has taken the server's clock from the refusal.
        return failure.remedy === 'skew'
    }
    state.lessons++
    return true
  }

  const send: Session['send'] = async (call, attempt, sink) => {
    const subject: Subject = { kind: call.kind, url: `s3://${bucket}/${call.key}`, bucket, endpoint }
    const learnedHere = new Set<string>()
    let retries = 0
    let free = 0
    let held = 0
    for (;;) {
      call.signal?.throwIfAborted()
      call.onRequest?.(call.kind)
      const sendOptions: SendOptions = {}
      if (call.signal !== undefined) sendOptions.abortSignal = call.signal
      if (sink !== undefined) sendOptions.sink = sink
      const { lessons } = state
      try {
        const result = await attempt(client, sendOptions)
        state.answered = true
        state.authorized = true
        if (learnedHere.has('checksums')) state.worksWithout = true
        return result
      } catch (error) {
        call.signal?.throwIfAborted()
        const failure = judgeInContext(error, state)
        if (failure.ambiguous) call.ambiguous = true
        const again = (wait: number) => {
          call.onRetry?.({ reason: `${call.kind}: ${failure.reason}`, slowDown: failure.slowDown })
          options.onRetry?.(`${call.kind} ${subject.url}: ${failure.reason}`)
          return wait > 0 ? pause(wait, call.signal) : undefined
        }
        if (failure.remedy === 'again' && isStale(error) && free++ < FREE_RETRIES) {
          await again(0)
          continue
        }
        if (await learn(failure, learnedHere, lessons)) {
          await again(0)
          continue
        }
        const limit = failure.remedy === 'unreachable' ? UNREACHABLE_RETRIES : settings.retries
        const transient = failure.remedy === 'again' || failure.remedy === 'unreachable'
        if (transient && retries < Math.min(limit, settings.retries)) {
          retries++
          const wait = backoffMs(retries, failure)
          if (failure.retryAfterMs !== undefined) held += wait
          if (held <= HELD_OFF_MS) {
            await again(wait)
            continue
          }
        }
        // Refused with and without: it was never about checksums, and they are not given up for it.
        if (failure.remedy === 'checksums' && !state.worksWithout) learned.noChecksums = false
        call.onFinal?.(failure, error)
        throw explain(error, failure, subject)
      }
    }
  }

  return {
    bucket,
    settings,
    url: `s3://${bucket}`,
    learned,
    client: () => client,
    send,
    close: () => agents.close(),
  }
}

function judgeInContext(error: unknown, state: { answered: boolean; authorized: boolean }): Failure {
  const failure = judge(error)
  if (failure.status !== undefined) state.answered = true
  if (failure.remedy === 'unreachable' && state.answered) return { ...failure, remedy: 'again' }
  // The provider of credentials has worked before: its refusal now is a hiccup of its own service.
  if (failure.code === 'CredentialsProviderError' && state.authorized) return { ...failure, remedy: 'again' }
  return failure
}

function isStale(error: unknown): boolean {
  return typeof error === 'object' && error !== null && Reflect.get(error, 'reusedSocket') === true
}

/** New credentials from the provider; false when it has none, or none that differ. */
async function refreshed(client: S3Client): Promise<boolean> {
  try {
    const before = await client.config.credentials()
    const after = await client.config.credentials({ forceRefresh: true })
    return before.accessKeyId !== after.accessKeyId || before.sessionToken !== after.sessionToken
  } catch {
    // The refusal by S3 is what the user has to read; the provider's own trouble follows from it.
    return false
  }
}
