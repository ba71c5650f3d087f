import { lstatSync, readFileSync } from 'node:fs'

/** Names a file may have on ext4, less some: xfs and btrfs take more. */
const MAX_NAMES = 65_000

let owned: boolean | undefined

/**
 * Whether a plain file of that size can be given another name. Asked when the space is planned: what can't be
 * linked is fetched, and needs room.
 */
export function canLink(path: string, size: number): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat?.isFile() !== true || stat.size !== size) return false
  owned ??= onlyOwned()
  return mayLink(stat, { uid: process.getuid?.() ?? 0, owned })
}

/** `owned`: others' files can't be linked unless they are writable, which data never is (fs.protected_hardlinks). */
export function mayLink(
  file: { uid: number; nlink: number },
  { uid, owned }: { uid: number; owned: boolean },
): boolean {
  return file.nlink < MAX_NAMES && (!owned || uid === 0 || file.uid === uid)
}

function onlyOwned(): boolean {
  try {
    return readFileSync('/proc/sys/fs/protected_hardlinks', 'utf8').trim() !== '0'
  } catch {
    return true
  }
}
