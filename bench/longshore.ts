import { resolve } from 'node:path'
import type { Target } from './types.ts'

const BIN = resolve(import.meta.dirname, '../bin/longshore.js')

/** The built tool with its defaults: whatever it can find out by itself it has to. */
export function longshore(target: Target, args: string[]): string[] {
  const flags: string[] = []
  if (target.endpointUrl !== undefined) flags.push('--endpoint-url', target.endpointUrl)
  if (target.caBundle !== undefined) flags.push('--ca-bundle', target.caBundle)
  return [process.execPath, BIN, ...args, ...flags, '--quiet']
}

export function urlOf(target: Target, key: string): string {
  return `s3://${target.bucket}/${target.prefix}${key}`
}
