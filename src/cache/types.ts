import type { Amount } from '../fs/amount.ts'
import type { Modes } from '../fs/make-folder.ts'
import type { Progress } from '../progress.ts'

export type CacheMode = 'private' | 'group' | 'shared'

/** An opened cache: where it is and how its files are made. Plain data; every verb of src/cache takes it first. */
export interface Cache {
  /** Absolute, no trailing slash. */
  root: string
  /** `root/.longshore` */
  state: string
  mode: CacheMode
  /** Modes for what is made in it: folders, state files, and the data (never writable: versions share it). */
  modes: Modes
  /** Nothing may be written: no locks, no leases, no last use. */
  readOnly: boolean
  /** 'NFS', 'overlay' …: named explicitly by the user all the same. Locks then hold within this node only. */
  unfit: string | undefined
  /** Told about records that can't be read: each is named and taken as absent. */
  warn: Progress['warn']
}

/** What makes a version of a dataset: the same fields, the same local folder. */
export interface DatasetIdentity {
  /** ObjectStore.place: `aws`, `host_port`, `local` */
  place: string
  /** ObjectStore.bucket */
  bucket: string
  /** '' or ending in '/' */
  prefix: string
  /** 64 hex: packed: sha256 of longshore.json; plain prefix: of its listing */
  digest: string
}

/** Files of a dataset that are hard links to those of another version. */
export interface LinkedAmount extends Amount {
  /** id of the dataset they were linked from */
  from: string
}

/** Bytes, or a share of the filesystem. */
export type SpaceLimit = { bytes: number } | { percent: number }
