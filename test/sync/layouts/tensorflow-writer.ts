import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** As long as the smallest real one; a table file's last 8 bytes are its magic. */
export function indexBytes(): Buffer {
  return Buffer.concat([Buffer.alloc(100, 7), Buffer.from('57fb808b247547db', 'hex')])
}

interface Save {
  shards?: number
  /** Older ones that `checkpoint` still lists. */
  before?: string[]
  remove?: string[]
}

/** The writes of tf.train.CheckpointManager.save(), one function each, in TensorFlow's order. */
export function* writeTensorflow(
  name: string,
  { shards = 1, before = [], remove = [] }: Save = {},
): Generator<(dir: string) => void> {
  const shard = (at: number): string =>
    `${name}.data-${String(at).padStart(5, '0')}-of-${String(shards).padStart(5, '0')}`
  for (let at = 0; at < shards; at++) {
    const temp = `${shard(at)}.tempstate123456`
    yield (dir) => writeFileSync(join(dir, temp), '')
    yield (dir) => writeFileSync(join(dir, temp), `data ${name} ${at} `.repeat(100))
    yield (dir) => renameSync(join(dir, temp), join(dir, shard(at)))
  }
  yield (dir) => writeFileSync(join(dir, `${name}.index`), indexBytes().subarray(0, 60))
  yield (dir) => writeFileSync(join(dir, `${name}.index`), indexBytes())
  const pointAt = (kept: string[]) => (dir: string) => {
    const all = [...kept, name].map((each) => `all_model_checkpoint_paths: "${each}"\n`)
    writeFileSync(join(dir, 'checkpoint.tmp7'), `model_checkpoint_path: "${name}"\n${all.join('')}`)
    renameSync(join(dir, 'checkpoint.tmp7'), join(dir, 'checkpoint'))
  }
  yield Object.defineProperty(pointAt(before), 'name', { value: 'checkpoint' })
  for (const old of remove) {
    yield (dir) => rmSync(join(dir, `${old}.index`), { force: true })
    yield (dir) => rmSync(join(dir, `${old}.data-00000-of-00001`), { force: true })
    yield pointAt(before.filter((each) => each !== old))
  }
}
