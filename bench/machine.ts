import { execFile } from 'node:child_process'
import { readFile, statfs } from 'node:fs/promises'
import { availableParallelism, cpus, release, tmpdir, totalmem } from 'node:os'
import { resolve } from 'node:path'
import { promisify } from 'node:util'

export interface Machine {
  cores: number
  cpu: string
  /** bytes */
  memory: number
  kernel: string
  node: string
  /** Of the folder that holds data and outputs. */
  filesystem: string
  /** Of every tool, longshore's own with its commit. */
  versions: Record<string, string>
}

export async function describeMachine(dir: string, versions: Record<string, string>): Promise<Machine> {
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    memory: totalmem(),
    kernel: release(),
    node: process.version,
    filesystem: FILESYSTEMS[(await statfs(dir)).type] ?? 'other',
    versions: { longshore: await ownVersion(), ...versions },
  }
}

/** statfs(2) */
const FILESYSTEMS: Record<number, string> = {
  61267: 'ext4',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  16914836: 'tmpfs',
  2035054128: 'overlay',
  801189825: 'zfs',
  26985: 'nfs',
}

async function ownVersion(): Promise<string> {
  const root = resolve(import.meta.dirname, '..')
  const { version } = JSON.parse(await readFile(`${root}/package.json`, 'utf8')) as { version: string }
  const git = async (...args: string[]) =>
    (await promisify(execFile)('git', ['-C', root, ...args])).stdout.trim()
  try {
    const changed = await git('status', '--porcelain', '--', 'src', 'bin', 'package.json')
    return `${version} (${await git('rev-parse', '--short', 'HEAD')}${changed === '' ? '' : ', changed'})`
  } catch {
    return version
  }
}

/**
 * Memory is the steadiest place for data and outputs: a disk's moods are no tool's merit. It has to be large enough
 * for the data and for the tools beside it.
 */
export async function placeFor(bytes: number, named: string | undefined): Promise<string> {
  if (named !== undefined) {
    if ((await freeBytes(named)) >= bytes) return named
    throw new Error(`--dir ${named} has not ${gib(bytes)} free, which these rows need`)
  }
  const memory = /^MemAvailable:\s+(\d+) kB/m.exec(await readFile('/proc/meminfo', 'utf8'))?.[1]
  const available = Number(memory ?? 0) * 1024
  if (available > bytes + 4 * 2 ** 30 && (await freeBytes('/dev/shm')) > bytes) return '/dev/shm'
  if ((await freeBytes(tmpdir())) >= bytes) return tmpdir()
  throw new Error(
    `these rows need ${gib(bytes)} in ${tmpdir()}: name a larger place with --dir, or take fewer --rows`,
  )
}

async function freeBytes(dir: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(dir)
    return bavail * bsize
  } catch {
    return 0
  }
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`
}
