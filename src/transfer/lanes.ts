import type { CallOptions, GetRequest, GotBytes, ObjectStore } from '../s3/store.ts'
import { type Begun, HandOver, type Window, type WireStore, type WireTarget } from '../s3/wire/types.ts'
import { unlessAborted } from '../unless-aborted.ts'
import type { DataStore } from './core.ts'
import type { Route, WireKind } from './route.ts'

/** The SDK lane, as a thread reaches it. */
export type SdkLane = Pick<ObjectStore, 'getInto' | 'putPart'>

export interface LaneOptions {
  url: string
  /** The wire for a request of this kind; undefined: it goes by the SDK lane. */
  wire(kind: WireKind): WireStore | undefined | Promise<WireStore | undefined>
  sdk: Pick<ObjectStore, 'getInto' | 'putPart' | 'put'>
  /** Told of a request that goes by the SDK lane from the start. */
  bypassed(kind: WireKind): void
  /** The SDK lane for a request that the wire handed over; `served`: how many of this kind it did serve so far. */
  after(kind: WireKind, reason: string, served: number): SdkLane
}

/**
 * A store whose GETs of known bytes and PUTs of parts go by wire first. What the wire does not understand is done
 * by the SDK lane: the same single request. Everything conditional is the SDK lane's from the start.
 */
export function openLanes({ url, wire, sdk, bypassed, after }: LaneOptions): DataStore {
  const served = { GET: 0, PART: 0 }
  /** One request: by wire where there is one, else by the SDK lane, which also does what the wire hands over. */
  const move = async <T>(
    kind: WireKind,
    { found, signal }: { found: ReturnType<typeof wire>; signal: AbortSignal | undefined },
    byWire: (lane: WireStore) => Promise<T>,
    bySdk: (lane: SdkLane) => Promise<T>,
  ): Promise<T> => {
    const lane = found instanceof Promise ? await unlessAborted(found, signal) : found
    if (lane === undefined) {
      bypassed(kind)
      return bySdk(sdk)
    }
    try {
      const moved = await byWire(lane)
      served[kind]++
      return moved
    } catch (error) {
      if (!(error instanceof HandOver) || signal?.aborted) throw error
      return bySdk(after(kind, error.reason, served[kind]))
    }
  }
  /** `rest`: what is left to do of a GET that the wire has begun. */
  const getInto = (
    found: ReturnType<typeof wire>,
    request: GetRequest,
    into: Uint8Array,
    options: CallOptions | undefined,
    rest?: () => Promise<GotBytes>,
  ): Promise<GotBytes> =>
    move(
      'GET',
      { found, signal: options?.signal },
      (lane) => (rest === undefined ? lane.getInto(request, into, options) : rest()),
      (lane) => lane.getInto(request, into, options),
    )
  const openNow = (): WireStore | undefined => {
    const found = wire('GET')
    if (!(found instanceof Promise)) return found
    // Whoever moves something by it is told why there is none.
    found.catch(() => {})
    return undefined
  }
  return {
    url,
    getInto: (request, into, options) => getInto(wire('GET'), request, into, options),
    beginGet(request, into, options, begun) {
      const found = wire('GET')
      const goOn = (rest?: () => Promise<GotBytes>) =>
        begun.trouble(() => getInto(found, request, into, options, rest))
      if (found === undefined || found instanceof Promise || found.beginGet === undefined) return goOn()
      const watched: Begun = {
        done(got) {
          served.GET++
          begun.done(got)
        },
        trouble: goOn,
      }
      found.beginGet(request, into, options, watched)
    },
    asksAhead(etag, length) {
      return openNow()?.asksAhead?.(etag, length) === true
    },
    getThrough: (request, window, options) =>
      move(
        'GET',
        { found: wire('GET'), signal: options?.signal },
        (lane) => lane.getThrough(request, window, options),
        (lane) => throughMemory(lane, request, window, options),
      ),
    async getWhole(request, window, options) {
      const lane = openNow()
      if (lane === undefined) throw new HandOver('no wire yet')
      const got = await lane.getThrough(request, window, options)
      served.GET++
      return got
    },
    putPart: (request, options) =>
      move(
        'PART',
        { found: wire('PART'), signal: options?.signal },
        (lane) => lane.putPart(request, options),
        (lane) => lane.putPart(request, options),
      ),
    put: (request, options) => sdk.put(request, options),
  }
}

/** The SDK lane knows no windows. */
async function throughMemory(
  lane: Pick<SdkLane, 'getInto'>,
  request: GetRequest,
  window: Window,
  options: CallOptions | undefined,
): Promise<GotBytes> {
  const into = Buffer.allocUnsafeSlow(window.length)
  const got = await lane.getInto(request, into, options)
  window.take(0, into)
  return got
}

/** How the main thread's own number reads in a route's count of what each thread was served. */
const MAIN = -1

export type OpenWire = (target: WireTarget) => WireStore

/** A store's lanes in the thread that has the SDK. */
export interface OwnLanes {
  store: DataStore
  update(target: WireTarget): void
  close(): void
}

/** `load` gives the wire lane, when it is first needed. */
export function openOwnLanes(store: ObjectStore, route: Route, load: () => Promise<OpenWire>): OwnLanes {
  let wire: WireStore | undefined
  const opened = async (target: ReturnType<Route['target']>): Promise<WireStore | undefined> => {
    const [found, openWire] = await Promise.all([target, load()])
    if (found !== undefined) wire ??= openWire(found)
    return found && wire
  }
  return {
    store: openLanes({
      url: store.url,
      sdk: store,
      wire(kind) {
        const target = route.target(kind)
        if (target !== undefined)
          return target instanceof Promise || wire === undefined ? opened(target) : wire
        return undefined
      },
      bypassed: route.bypassed,
      after: (kind, reason, served) => {
        const about = { kind, reason, served, by: MAIN }
        return {
          getInto: (request, into, options) =>
            route.handOver({ ...about, signal: options?.signal }, () =>
              store.getInto(request, into, options),
            ),
          putPart: (request, options) =>
            route.handOver({ ...about, signal: options?.signal }, () => store.putPart(request, options)),
        }
      },
    }),
    update: (target) => wire?.update(target),
    close: () => wire?.close(),
  }
}
