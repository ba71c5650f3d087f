import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'

/** What is asked of the machine; tests give their own. */
export interface Machine {
  /** Cores that affinity leaves this process. */
  available: number
  /** A small file's text; undefined: it can't be read. */
  read(path: string): string | undefined
}

/** Cores that this process may use: its affinity, and the quota of its cgroup (v2, or v1) and of those above it. At least 1. */
export function usableCores(machine: Machine = thisMachine()): number {
  let cores = machine.available
  for (const quota of quotas(machine)) cores = Math.min(cores, Math.ceil(quota))
  return Math.max(1, cores)
}

function* quotas({ read }: Machine): Generator<number> {
  for (const line of (read('/proc/self/cgroup') ?? '').split('\n')) {
    const [number = '', controllers = '', path = ''] = line.split(':')
    if (number === '0' && controllers === '') {
      for (const folder of withParents(path)) {
        const [quota, period] = (read(join('/sys/fs/cgroup', folder, 'cpu.max')) ?? '').trim().split(/\s+/)
        yield* share(quota, period)
      }
    } else if (controllers.split(',').includes('cpu')) {
      for (const mount of ['cpu', 'cpu,cpuacct', 'cpuacct,cpu']) {
        for (const folder of withParents(path)) {
          const at = join('/sys/fs/cgroup', mount, folder)
          yield* share(read(join(at, 'cpu.cfs_quota_us')), read(join(at, 'cpu.cfs_period_us')))
        }
      }
    }
  }
}

/** A container often sees its own cgroup as the top, whatever path it is told: the top is always asked too. */
function withParents(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '' && part !== '..')
  return ['/', ...parts.map((_, i) => `/${parts.slice(0, i + 1).join('/')}`)]
}

/** 'max' (v2) and -1 (v1) mean no limit. */
function* share(quota: string | undefined, period: string | undefined): Generator<number> {
  const cores = Number(quota) / Number(period)
  if (Number.isFinite(cores) && cores > 0) yield cores
}

function thisMachine(): Machine {
  return {
    available: availableParallelism(),
    read(path) {
      try {
        return readFileSync(path, 'utf8')
      } catch {
        return undefined
      }
    },
  }
}
