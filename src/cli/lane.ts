import { LongshoreError } from '../errors.ts'
import type { EngineOptions } from '../transfer/types.ts'

/**
 * LONGSHORE_LANE=sdk: every request goes by the AWS SDK, slower: to tell whether a trouble is the fast lane's own.
 * A variable and no option, since no job should be written with it.
 */
export function readLane(env: Readonly<Record<string, string | undefined>>): EngineOptions['lane'] {
  const lane = env.LONGSHORE_LANE || 'wire'
  if (lane === 'wire' || lane === 'sdk') return lane
  throw new LongshoreError('BAD_CONFIG', `LONGSHORE_LANE: "${lane}" is neither wire nor sdk`)
}
