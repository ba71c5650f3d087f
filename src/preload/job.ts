import type { Cache, DatasetIdentity, SpaceLimit } from '../cache/types.ts'
import type { Engine } from '../transfer/types.ts'
import type { Selection } from './select.ts'
import type { SourceContext } from './source.ts'

/** What all sources of one preload have in common. */
export interface PreloadJob extends SourceContext {
  cache: Cache
  selection: Selection
  verify: 'checksum' | 'size' | 'none'
  /** bytes a range of a large object */
  part: number
  /** The user did not say how large: streams may be cheaper. */
  streams: boolean
  maxSize?: SpaceLimit | undefined
  minFree?: SpaceLimit | undefined
  makeRoom: boolean
  /** undefined: only a question is asked, which leaves no trace. */
  lease?: LeaseWish | undefined
  /** Started at the first transfer: what is READY needs none. */
  engine: () => Promise<Engine>
  /** Told when all bytes of the source are here: what is left is to make them durable. */
  onMoved?: (() => void) | undefined
}

export interface LeaseWish {
  owner: string
  /** ms */
  ms: number
  /** For the life of this process only: while CMD runs. */
  live: boolean
  pin: boolean
}

/** A job for one version of one source. */
export interface Identified extends PreloadJob {
  identity: DatasetIdentity
}
