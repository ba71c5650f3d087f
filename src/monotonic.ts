/** ms on a clock that nobody sets, with one origin for all threads: Date's jumps, and each thread has a `performance` of its own. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1000 + nanoseconds / 1e6
}
