/** Splits that are read in order by default: shuffling them makes evaluations hard to compare. */
const UNSHUFFLED = new Set(['val', 'valid', 'validation', 'dev', 'test', 'testing', 'eval', 'evaluation'])
const TRAIN = new Set(['train', 'training'])

/** The seed a split is shuffled with; null: its order is that of its keys' bytes. */
export function seedOf(split: string, shuffle: number | false | undefined): number | null {
  if (shuffle === false) return null
  if (shuffle !== undefined) return shuffle
  return UNSHUFFLED.has(split.toLowerCase()) ? null : 0
}

/** 'train', 'held-out' (val, test …), or undefined when a folder's name says neither. */
export function roleOf(folder: string): 'train' | 'held-out' | undefined {
  const name = folder.toLowerCase()
  if (TRAIN.has(name)) return 'train'
  return UNSHUFFLED.has(name) ? 'held-out' : undefined
}

export interface ShardNames {
  shard: string
  index: string
  dali: string
}

/** `train-000000.tar` and what lies beside it; the number counts within the split. */
export function shardNames(split: string, number: number): ShardNames {
  return namesBeside(`${split}-${String(number).padStart(6, '0')}.tar`)
}

export function namesBeside(shard: string): ShardNames {
  const stem = shard.slice(0, -'.tar'.length)
  return { shard, index: `${stem}.index.jsonl`, dali: `${stem}.idx` }
}

/** A name that some packer gave a shard: tar, TFRecord and MDS. Its presence without a plan is another dataset. */
export function looksLikeShard(name: string): boolean {
  return /(?:-\d{6}\.tar|-\d{5}-of-\d{5}\.tfrecord|^shard\.\d{5}\.mds)$/.test(name)
}

/** Whether shard names may begin with it on every store and filesystem. */
export function isSplitName(name: string): boolean {
  return (
    /^[^\p{Cc}\p{Surrogate}/\\.][^\p{Cc}\p{Surrogate}/\\]*$/u.test(name) && Buffer.byteLength(name) <= 200
  )
}
