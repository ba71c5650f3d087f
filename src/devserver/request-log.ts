import type { LoggedRequest, RequestLog } from './types.ts'

/** The newest `size` requests one by one, and a counter per operation of all of them. */
export function openRequestLog(size: number): RequestLog & { add(request: LoggedRequest): void } {
  let ring: LoggedRequest[] = []
  let next = 0
  let counters = new Map<string, number>()
  return {
    add(request) {
      ring[next] = request
      next = (next + 1) % size
      counters.set(request.operation, (counters.get(request.operation) ?? 0) + 1)
    },
    all: () => (ring.length < size ? ring.slice() : [...ring.slice(next), ...ring.slice(0, next)]),
    count(operation) {
      if (operation !== undefined) return counters.get(operation) ?? 0
      return [...counters.values()].reduce((sum, n) => sum + n, 0)
    },
    counts: () => Object.fromEntries(counters),
    clear() {
      ring = []
      next = 0
      counters = new Map()
    },
  }
}
