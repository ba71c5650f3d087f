import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { opendir, readFile, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import type { DataSet } from './data.ts'
import type { Target } from './types.ts'

/** A tool that leaves something out would win: number and bytes each time, every byte when thorough. */
export async function filesArrived(
  folder: string,
  set: DataSet,
  { thorough }: { thorough: boolean },
): Promise<void> {
  let files = 0
  let bytes = 0
  const contents = thorough ? await set.contents() : undefined
  for await (const path of filesBelow(folder)) {
    files++
    const { size } = await stat(path)
    bytes += size
    if (contents === undefined) continue
    const name = relative(folder, path)
    if (contents.get(name)?.md5 !== (await md5Of(path, size))) throw new Error(`${name} has other bytes`)
  }
  if (files !== set.objects || bytes !== set.bytes) {
    throw new Error(`${files} files of ${bytes} bytes arrived, not ${set.objects} of ${set.bytes}`)
  }
}

/** The shards below a key prefix hold every object; their members are counted with tar itself when thorough. */
export async function shardsArrived(
  target: Target,
  prefix: string,
  about: { set: DataSet; thorough: boolean },
): Promise<void> {
  let bytes = 0
  let members = 0
  const folder = about.thorough ? target.folder?.(prefix) : undefined
  for await (const { key, size } of target.list(prefix)) {
    if (!key.endsWith('.tar')) continue
    bytes += size
    if (folder === undefined) continue
    const name = key.slice(target.prefix.length + prefix.length)
    members += await membersOf(join(folder, name))
  }
  if (bytes < about.set.bytes)
    throw new Error(`the shards have ${bytes} bytes, the objects ${about.set.bytes}`)
  if (folder !== undefined && members !== about.set.objects) {
    throw new Error(`the shards have ${members} members, not ${about.set.objects}`)
  }
}

/** The objects below a key prefix are so many, of so many bytes. */
export async function objectsArrived(
  target: Target,
  prefix: string,
  about: { objects: number; bytes: number },
): Promise<void> {
  let objects = 0
  let bytes = 0
  for await (const { size } of target.list(prefix)) {
    objects++
    bytes += size
  }
  if (objects !== about.objects || bytes !== about.bytes) {
    throw new Error(`${objects} objects of ${bytes} bytes arrived, not ${about.objects} of ${about.bytes}`)
  }
}

export async function membersOf(shard: string): Promise<number> {
  const { stdout } = await promisify(execFile)('tar', ['-tf', shard], { maxBuffer: 2 ** 30 })
  return stdout.split('\n').filter((name) => name !== '' && !name.endsWith('/')).length
}

async function* filesBelow(folder: string): AsyncGenerator<string> {
  for await (const entry of await opendir(folder)) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* filesBelow(path)
    else yield path
  }
}

async function md5Of(path: string, size: number): Promise<string> {
  const hash = createHash('md5')
  if (size < 2 ** 20) hash.update(await readFile(path))
  else await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}
