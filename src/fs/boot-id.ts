import { readFile } from 'node:fs/promises'

/**
 * The kernel's id of this boot: what was written but not synced is to be trusted within one boot only.
 * '' where the system does not tell: then nothing that was not synced is trusted.
 */
export async function bootId(): Promise<string> {
  try {
    const text = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
    return /^[0-9a-f-]{36}$/.test(text) ? text : ''
  } catch {
    return ''
  }
}

/** Whether what was written in the boot `then` is in the page cache of `now`. A boot without a name is like no other. */
export function isSameBoot(then: string, now: string): boolean {
  return now !== '' && then === now
}
