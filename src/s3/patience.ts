/** ms that an idle connection is kept: S3 ends them after about 5 s, and is not raced with it. */
export const IDLE_MS = 4000
/** ms to connect: a host that drops our packets is told apart from one that is slow to answer. */
export const CONNECT_MS = 10_000
