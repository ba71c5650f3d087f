import { execFile } from 'node:child_process'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Measure } from './measure.ts'
import { type Peers, s5cmd } from './peers.ts'
import type { Target } from './types.ts'

const run = promisify(execFile)
const SEED = join(import.meta.dirname, 'seed.py')

export interface DataSpec {
  /** Its folder in the bucket. */
  id: string
  objects: number
  meanBytes: number
  /** Every object as large as the mean. */
  flat?: boolean
}

export interface DataSet extends DataSpec {
  /** Key prefix below the target's, ends with '/'. */
  prefix: string
  bytes: number
  /** Path below the prefix → size and MD5, for checks of what a tool fetched. */
  contents(): Promise<Map<string, { size: number; md5: string }>>
}

/** The objects that the tools read: made when a row first asks for them. */
export interface Data {
  inBucket(target: Target, spec: DataSpec): Promise<DataSet>
  /** The same files in a local folder that the caller removes. */
  inFolder(folder: string, spec: DataSpec): Promise<DataSet>
  drop(target: Target, id: string): Promise<void>
}

export interface DataOptions {
  peers: Peers
  measure: Measure
  dir: string
  signal: AbortSignal
  say(line: string): void
}

export function createData({ peers, measure, dir, signal, say }: DataOptions): Data {
  const made = new Map<string, DataSet>()
  const lists = join(dir, 'contents')

  async function write(folder: string, spec: DataSpec, etag: boolean): Promise<DataSet> {
    await mkdir(folder, { recursive: true })
    await mkdir(lists, { recursive: true })
    const list = join(lists, spec.id)
    const shape = spec.flat === true ? 'FLAT' : 'SPREAD'
    const args = [folder, String(spec.objects), String(spec.meanBytes), shape, list]
    const { stdout } = await run(peers.python, [SEED, ...args, ...(etag ? ['--etag'] : [])], { signal })
    return { ...spec, prefix: `${spec.id}/`, bytes: Number(stdout), contents: () => readContents(list) }
  }

  async function upload(target: Target, spec: DataSpec): Promise<DataSet> {
    const folder = join(dir, 'seed', spec.id)
    try {
      const set = await write(folder, spec, false)
      const to = `s3://${target.bucket}/${target.prefix}${set.prefix}`
      await measure({ argv: s5cmd(peers, target, ['cp', `${folder}/`, to], '64'), env: target.env })
      return set
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }

  return {
    async inBucket(target, spec) {
      const known = made.get(spec.id)
      if (known !== undefined) return known
      say(`making ${spec.objects.toLocaleString('en')} objects: ${spec.id}/`)
      const folder = target.seedsDirectly ? target.folder?.(`${spec.id}/`) : undefined
      const set = folder === undefined ? await upload(target, spec) : await write(folder, spec, true)
      made.set(spec.id, set)
      await checkServed(target, set)
      return set
    },
    async inFolder(folder, spec) {
      return await write(folder, spec, false)
    },
    async drop(target, id) {
      if (made.delete(id)) await target.remove(`${id}/`)
    },
  }
}

/** The gateway must serve what was put behind its back just as if it had been uploaded, ETag and all. */
async function checkServed(target: Target, set: DataSet): Promise<void> {
  for await (const first of target.list(set.prefix)) {
    const path = first.key.slice(target.prefix.length + set.prefix.length)
    const expected = (await set.contents()).get(path)
    const multipart = first.etag.includes('-')
    if (first.size !== expected?.size || (!multipart && first.etag !== `"${expected.md5}"`)) {
      throw new Error(`the server shows ${first.key} with ${first.size} bytes and ETag ${first.etag}`)
    }
    return
  }
  throw new Error(`the server shows nothing below ${set.prefix}`)
}

async function readContents(list: string): Promise<Map<string, { size: number; md5: string }>> {
  const found = new Map<string, { size: number; md5: string }>()
  for (const line of (await readFile(list, 'utf8')).split('\n')) {
    const [md5, size, path] = line.split(' ')
    if (md5 !== undefined && path !== undefined) found.set(path, { size: Number(size), md5 })
  }
  return found
}
