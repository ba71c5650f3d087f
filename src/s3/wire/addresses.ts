import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'

/** S3 answers with another few of its thousands of addresses every time it is asked. */
const TTL_MS = 60_000
/** An address that refused or did not answer is left out for this long, while there are others. */
const SKIP_MS = 60_000
/** getaddrinfo has no deadline of its own. */
const LOOKUP_MS = 10_000

/** All addresses of a host name. */
export type Resolve = (host: string) => Promise<readonly string[]>

/** The addresses of one host, used in turn. */
export interface Addresses {
  /**
   * The next one that is not in `tried`, and whether it is the last such; undefined: there is none. Rejects when the
   * name can't be resolved.
   */
  next(tried: ReadonlySet<string>): Promise<{ address: string; last: boolean } | undefined>
  /** It did not take a connection. */
  avoid(address: string): void
}

export function openAddresses(host: string, resolve: Resolve = resolveAll): Addresses {
  if (isIP(host) !== 0) {
    return {
      next: async (tried) => (tried.has(host) ? undefined : { address: host, last: true }),
      avoid() {},
    }
  }
  const avoided = new Map<string, number>()
  let known: readonly string[] = []
  let until = 0
  let turn = 0
  let asking: Promise<void> | undefined

  const ask = async (): Promise<void> => {
    try {
      const found = await resolve(host)
      if (found.length > 0) known = found
      until = performance.now() + TTL_MS
    } catch (error) {
      // What was right a minute ago is better than nothing, for another while.
      if (known.length === 0) throw error
      until = performance.now() + TTL_MS / 4
    } finally {
      asking = undefined
    }
  }

  return {
    async next(tried) {
      if (performance.now() >= until) {
        asking ??= ask()
        await asking
      }
      const now = performance.now()
      const left = known.filter((address) => !tried.has(address))
      const good = left.filter((address) => (avoided.get(address) ?? 0) <= now)
      const from = good.length > 0 ? good : left
      const address = from[turn++ % Math.max(1, from.length)]
      return address === undefined ? undefined : { address, last: left.length === 1 }
    },
    avoid(address) {
      if (avoided.size > 1000) avoided.clear()
      avoided.set(address, performance.now() + SKIP_MS)
    },
  }
}

async function resolveAll(host: string): Promise<string[]> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(noName(host)), LOOKUP_MS)
  })
  try {
    const found = await Promise.race([lookup(host, { all: true, verbatim: true }), late])
    return [...new Set(found.map(({ address }) => address))]
  } finally {
    clearTimeout(timer)
  }
}

function noName(host: string): Error {
  const error = new Error(`no address of ${host} in ${LOOKUP_MS / 1000} s`)
  return Object.assign(error, { code: 'EAI_AGAIN', syscall: 'getaddrinfo' })
}
