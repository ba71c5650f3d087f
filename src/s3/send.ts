import type { S3Client } from '@aws-sdk/client-s3'
import { openAgents } from './agent.ts'
import { type Call as AttemptCall, newServerState, withAttempts } from './attempts.ts'
import type { Learned } from './client.ts'
import { resolveEndpoint } from './endpoint.ts'
import type { Subject } from './explain.ts'
import type { Failure } from './failure.ts'
import { wireHandler } from './handler.ts'
import { type LightAnswer, openLightLane, type Question } from './light.ts'
import { type Ordinary, ordinary } from './ordinary.ts'
import type { Sink } from './receive.ts'
import type { S3Settings } from './settings.ts'

/** What a command may be sent with. */
export interface SendOptions {
  abortSignal?: AbortSignal
  sink?: Sink
}

export interface Call extends AttemptCall {
  key: string
}

export interface Sending<T> {
  sink?: Sink | undefined
  /** The same without the SDK, as long as nothing unusual was met; undefined of `read`: the SDK has to ask. */
  light?: { question: Question; read: (answer: LightAnswer) => T | undefined } | undefined
}

/** Everything one bucket's store shares between its calls. */
export interface Session {
  readonly bucket: string
  /** With the endpoint as the environment and the profile give it. */
  readonly settings: S3Settings
  readonly url: string
  readonly learned: Learned
  readonly env: NodeJS.ProcessEnv
  /** As src/s3/agent.ts trusts. */
  readonly ca: readonly string[] | undefined
  /** How the bucket is reached, as long as that need not be asked of the SDK. */
  ordinary(): Ordinary | undefined
  /** The SDK's, made when it is first needed. Another one takes its place when the bucket's region is learned. */
  client(): Promise<S3Client>
  send<T>(
    call: Call,
    attempt: (client: S3Client, options: SendOptions) => Promise<T>,
    how?: Sending<T>,
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
  const plain = settings.lane === 'sdk' ? undefined : ordinary(bucket, settings, env)
  const light = plain && openLightLane(plain, handler)
  /** Until region, credentials or clock turn out to be others: then the SDK knows better. */
  let known = plain
  let made: Promise<S3Client> | undefined
  const makeClient = async (known: { region?: string | undefined; clockOffset?: number } = {}) => {
    const sdk = await import('./client.ts')
    return sdk.makeClient({ ...common, ...known })
  }
  const clientNow = (): Promise<S3Client> => {
    made ??= makeClient()
    return made
  }
  // What is wrong with the configuration is said before anything else is done.
  if (light === undefined) await clientNow()
  // Credentials can be missing, or the endpoint wrong, only until something has once worked.
  const state = newServerState()
  let lessons = 0
  let worksWithout = false
  const endpoint = settings.endpointUrl

  const learning = new Map<string, Promise<boolean>>()
  /** Learns what there is to learn from a failure; true when it makes sense to ask again at once. */
  const learn = async (failure: Failure, done: Set<string>, lessonsThen: number): Promise<boolean> => {
    const { remedy } = failure
    if (remedy === 'again' || remedy === 'unreachable' || remedy === 'final') return false
    // Asked before another call learned something: this refusal may be the same news.
    if (lessonsThen !== lessons && !done.has('meanwhile')) return done.add('meanwhile').size > 0
    if (done.has(remedy)) return false
    done.add(remedy)
    const lesson = learning.get(remedy) ?? take(failure).finally(() => learning.delete(remedy))
    learning.set(remedy, lesson)
    return lesson
  }
  const take = async (failure: Failure): Promise<boolean> => {
    if (failure.remedy !== 'checksums') known = undefined
    switch (failure.remedy) {
      case 'region': {
        const { config } = await clientNow()
        if (failure.region === undefined || failure.region === (await config.region())) return false
        const other = await makeClient({ region: failure.region, clockOffset: config.systemClockOffset })
        made = Promise.resolve(other)
        break
      }
      case 'refresh':
        if (!(await refreshed(await clientNow()))) return false
        break
      case 'checksums':
        if (learned.noChecksums) return false
        learned.noChecksums = true
        break
      default:
        // The SDK's signer has taken the server's clock from the refusal.
        return failure.remedy === 'skew'
    }
    lessons++
    return true
  }

  const send: Session['send'] = async (call, attempt, how = {}) => {
    const { sink, light: asked } = how
    const subject: Subject = { kind: call.kind, url: `s3://${bucket}/${call.key}`, bucket, endpoint }
    const learnedHere = new Set<string>()
    const sendOptions: SendOptions = {}
    if (call.signal !== undefined) sendOptions.abortSignal = call.signal
    if (sink !== undefined) sendOptions.sink = sink
    let lessonsThen = 0
    const result = await withAttempts(
      {
        call,
        subject,
        settings,
        state,
        onRetry: options.onRetry,
        learn: async (failure) => {
          if (await learn(failure, learnedHere, lessonsThen)) return true
          // Refused with and without: it was never about checksums, and they are not given up for it.
          if (failure.remedy === 'checksums' && !worksWithout) learned.noChecksums = false
          return false
        },
      },
      async () => {
        lessonsThen = lessons
        if (light !== undefined && asked !== undefined && made === undefined) {
          const { abortSignal } = sendOptions
          const answer = await light.ask(asked.question, { abortSignal, sink: sink ?? {} })
          const found = answer && asked.read(answer)
          if (found !== undefined) return found
        }
        return attempt(await clientNow(), sendOptions)
      },
    )
    if (learnedHere.has('checksums')) worksWithout = true
    return result
  }

  return {
    bucket,
    settings,
    url: `s3://${bucket}`,
    learned,
    env,
    ca: agents.ca,
    ordinary: () => known,
    client: clientNow,
    send,
    close: () => agents.close(),
  }
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
