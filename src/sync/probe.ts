import type { LogPlace } from './log.ts'

/** Which writes the store makes conditional: 'all', only PUT (Complete ignores it), or 'none'. */
export type Conditional = 'all' | 'put' | 'none'

/**
 * Asks the store, with a throw-away key under `.longshore/probe/`, whether it honours If-None-Match on PUT and on
 * CompleteMultipartUpload. Throws CONDITIONAL_WRITES when PUT ignores it, unless `unsafeSingleWriter`.
 */
export declare function probeConditionalWrites(
  place: LogPlace,
  options: { signal: AbortSignal; unsafeSingleWriter: boolean },
): Promise<Conditional>
