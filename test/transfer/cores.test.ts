import assert from 'node:assert/strict'
import { test } from 'node:test'
import { usableCores } from '../../src/transfer/cores.ts'

function cores(available: number, files: Record<string, string>): number {
  return usableCores({ available, read: (path) => files[path] })
}

test('without a cgroup, the cores are those that affinity leaves', () => {
  assert.equal(cores(12, {}), 12)
  assert.equal(cores(0, {}), 1)
})

test('a quota of cgroup v2 counts, also one of a cgroup above', () => {
  const group = { '/proc/self/cgroup': '0::/a.slice/b.scope\n' }
  assert.equal(cores(16, { ...group, '/sys/fs/cgroup/a.slice/b.scope/cpu.max': '400000 100000\n' }), 4)
  assert.equal(cores(16, { ...group, '/sys/fs/cgroup/a.slice/b.scope/cpu.max': 'max 100000\n' }), 16)
  const nested = {
    '/sys/fs/cgroup/a.slice/cpu.max': '250000 100000',
    '/sys/fs/cgroup/a.slice/b.scope/cpu.max': '800000 100000',
  }
  assert.equal(cores(16, { ...group, ...nested }), 3)
  assert.equal(cores(2, { ...group, ...nested }), 2)
})

test('a container that is told a path it can not see finds its quota at the top', () => {
  const files = { '/proc/self/cgroup': '0::/../../docker/x', '/sys/fs/cgroup/cpu.max': '50000 100000' }
  assert.equal(cores(8, files), 1)
})

test('a quota of cgroup v1 counts, and -1 is none', () => {
  const group = { '/proc/self/cgroup': '5:memory:/x\n4:cpu,cpuacct:/x\n0::/\n' }
  const at = '/sys/fs/cgroup/cpu,cpuacct/x'
  const period = { [`${at}/cpu.cfs_period_us`]: '100000\n' }
  assert.equal(cores(8, { ...group, ...period, [`${at}/cpu.cfs_quota_us`]: '200000\n' }), 2)
  assert.equal(cores(8, { ...group, ...period, [`${at}/cpu.cfs_quota_us`]: '-1\n' }), 8)
})

test('files that make no sense are no limit', () => {
  const files = { '/proc/self/cgroup': 'what\n0::/\n', '/sys/fs/cgroup/cpu.max': 'a lot of\n' }
  assert.equal(cores(8, files), 8)
})

test('this machine has at least one', () => {
  assert.ok(usableCores() >= 1)
})
