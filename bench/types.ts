/** What the parts of the bench hand to one another. All results are plain data: they are kept as JSON. */
import type { Data } from './data.ts'
import type { Measure } from './measure.ts'
import type { Peers } from './peers.ts'
import type { Sizes } from './sizes.ts'

export type Scheme = 'http' | 'https'

/** A bucket as one of its endpoints shows it, and how the tools reach it. */
export interface Target {
  scheme: Scheme
  /** For the report: which server, and where it runs. */
  name: string
  bucket: string
  /** Everything the bench writes is below it: '' or ends with '/'. */
  prefix: string
  /** Absent: AWS itself. */
  endpointUrl?: string | undefined
  caBundle?: string | undefined
  /** The whole environment of each tool. */
  env: NodeJS.ProcessEnv
  /** The server's processes on this machine, whose CPU time is counted. */
  serverPids: number[]
  /** The folder of a key prefix, where the server keeps objects as plain files on this machine. */
  folder?: ((prefix: string) => string) | undefined
  /** False: objects have to be uploaded, files put into the folder would have no ETag. */
  seedsDirectly: boolean
  list(prefix: string): AsyncIterable<Listed>
  /** Removes all below a prefix, open multipart uploads too. */
  remove(prefix: string): Promise<void>
}

export interface Listed {
  key: string
  size: number
  etag: string
}

export interface Bench {
  /** The targets to run a row against, one a scheme. */
  targets: Target[]
  sizes: Sizes
  /** Measured runs of each contestant. */
  runs: number
  /** One run, no warm-up, no search for a peer's best settings: proves that the bench works, measures nothing. */
  quick: boolean
  /** Scratch folder; outputs of the tools go there. */
  dir: string
  peers: Peers
  data: Data
  measure: Measure
  /** A peer's best setting once found, by peer, kind of work and scheme: later rows take it over. */
  tuned: Map<string, string>
  signal: AbortSignal
  say(line: string): void
}

/** One process tree from start to end. */
export interface Run {
  seconds: number
  userSeconds: number
  systemSeconds: number
  /** Peak resident set of the tree's largest process, bytes. */
  peakRss: number
  /** Absent for a server elsewhere. */
  serverSeconds?: number | undefined
  /** CPU time of everything else on the machine meanwhile: how quiet it was. */
  otherSeconds: number
}

export interface Entrant {
  name: string
  /** The command as run, with the folders and the address by name. */
  line: string
  runs: Run[]
  failed?: string | undefined
  /** System calls an object, by name, of one extra run; only where an aim was missed. */
  calls?: Record<string, number> | undefined
}

/** A promise of the bench's table, with what was measured. */
export interface Claim {
  what: string
  /** The entrant that ours is compared with. */
  against?: string | undefined
  /** Absent: one of the contestants failed. */
  value?: number | undefined
  unit: '×' | '%' | 'MiB' | ''
  atLeast?: number | undefined
  atMost?: number | undefined
  /** In the direction of atLeast or atMost. */
  aim?: number | undefined
}

export interface Contest {
  title: string
  scheme: Scheme
  server: string
  objects: number
  bytes: number
  entrants: Entrant[]
  claims: Claim[]
}

export interface RowResult {
  id: number
  title: string
  contests: Contest[]
  /** What a reader has to know to judge the figures. */
  notes: string[]
  /** The row could not be run at all. */
  failed?: string | undefined
}

export interface Row {
  id: number
  title: string
  /** Of the schemes that were asked for, those that this row measures. */
  schemes: Scheme[]
  /** Most bytes that it keeps on disk at a time, with the data it reads. */
  needs(sizes: Sizes): number
  /** Ids of the data sets it reads: they are removed after the last row that does. */
  reads(sizes: Sizes): string[]
  run(bench: Bench, target: Target): Promise<{ contests: Contest[]; notes: string[] }>
}
