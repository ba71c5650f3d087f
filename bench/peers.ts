import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { python, VERSITYGW, versitygw } from '../test/interop/support/tools.ts'
import type { Target } from './types.ts'

const run = promisify(execFile)

/** The tools to measure beside, and what runs them. Installed into the git-ignored .interop/ of the checkout. */
export interface Peers {
  python: string
  s5cmd: string
  rclone: string
  /** Absent where a bucket of the user's is measured. */
  versitygw?: string
  /** As each tool tells it. */
  versions: Record<string, string>
}

export async function installPeers({ server }: { server: boolean }): Promise<Peers> {
  const interpreter = await python('peers')
  // The package's own s5cmd is a Python script around the binary: its start-up would be s5cmd's.
  const where = 'import os, s5cmd; print(os.path.join(os.path.dirname(s5cmd.__file__), "bin", "s5cmd"))'
  const s5cmd = (await run(interpreter, ['-c', where])).stdout.trim()
  const rclone = join(interpreter, '../rclone')
  const versions: Record<string, string> = {
    s5cmd: await versionOf(s5cmd, ['version']),
    rclone: await versionOf(rclone, ['version']),
  }
  if (!server) return { python: interpreter, s5cmd, rclone, versions }
  const gateway = await versitygw()
  // Built from source it knows no version of its own.
  versions.versitygw = VERSITYGW.split('@v')[1] ?? 'unknown'
  return { python: interpreter, s5cmd, rclone, versitygw: gateway, versions }
}

async function versionOf(command: string, args: string[]): Promise<string> {
  const { stdout } = await run(command, args)
  return /\d+\.\d+(\.\d+)?/.exec(stdout)?.[0] ?? 'unknown'
}

/** Quiet but for errors, and what a listing prints (which is a message of level info to it). */
export function s5cmd(peers: Peers, target: Target, args: string[], workers?: string): string[] {
  const endpoint = target.endpointUrl === undefined ? [] : ['--endpoint-url', target.endpointUrl]
  const width = workers === undefined ? [] : ['--numworkers', workers]
  const level = args[0] === 'ls' ? 'info' : 'error'
  return [peers.s5cmd, '--log', level, ...endpoint, ...width, ...args]
}

/** Of large objects: parts of 8 MiB, so many of each at once. */
export function s5cmdLargeWays(
  bench: { peers: Peers },
  target: Target,
  [from, to]: [from: string, to: string],
): { setting: string; argv: string[] }[] {
  return ['16', '4'].map((width) => ({
    setting: width,
    argv: s5cmd(bench.peers, target, ['cp', '-c', width, '-p', '8', from, to]),
  }))
}

export function rclone(peers: Peers, target: Target, args: string[]): string[] {
  const provider = target.endpointUrl === undefined ? 'AWS' : 'Other'
  const flags = ['--s3-provider', provider, '--s3-env-auth', '--s3-no-check-bucket']
  if (target.endpointUrl !== undefined) flags.push('--s3-endpoint', target.endpointUrl)
  if (target.env.AWS_REGION) flags.push('--s3-region', target.env.AWS_REGION)
  if (target.caBundle !== undefined) flags.push('--ca-cert', target.caBundle)
  return [peers.rclone, ...args, ...flags]
}
