// What the demo gives the commands: their defaults, and times that are short enough to watch.

export const PACK_OPTIONS = {
  format: 'tar' as const,
  shardSize: 'auto' as const,
  name: 'train',
  include: [],
  exclude: [],
  groupBy: 'stem' as const,
  require: [],
  onMissing: 'abort' as const,
  onChanged: 'fail' as const,
  onUnpackable: 'skip' as const,
  task: { index: 0, count: 1 },
}

export const PRELOAD_OPTIONS = {
  include: [],
  exclude: [],
  verify: 'checksum' as const,
  makeRoom: false,
  lease: 3600_000,
  leaseOwner: 'demo',
  pin: false,
  offline: false,
  readOnly: false,
  check: false,
}

export const SYNC_OPTIONS = {
  once: true,
  layout: 'marker' as const,
  marker: 'checkpoint-*/DONE',
  settle: 200,
  scanInterval: 100,
  also: [],
  unsafeSingleWriter: false,
}

export const RESTORE_OPTIONS = {
  step: 'latest' as const,
  ifExists: 'fail' as const,
  allowNone: false,
  list: false,
}
