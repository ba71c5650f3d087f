import { statfs } from 'node:fs/promises'

/** What a filesystem has left for an ordinary user. */
export interface FreeSpace {
  /** bytes free */
  bytes: number
  /** files that can still be made; Infinity where the filesystem has no fixed number (btrfs, xfs may tell 0) */
  inodes: number
  /** bytes of the filesystem, the part kept for root left out: percentages are of this, as in `df` */
  total: number
  /** bytes: a file takes a multiple of it */
  block: number
}

/** Free space of the filesystem that holds `path` (which must exist). Project quotas are not seen. */
export async function freeSpace(path: string): Promise<FreeSpace> {
  const fs = await statfs(path)
  return {
    bytes: fs.bavail * fs.bsize,
    inodes: fs.files === 0 ? Number.POSITIVE_INFINITY : fs.ffree,
    total: (fs.blocks - fs.bfree + fs.bavail) * fs.bsize,
    block: fs.bsize,
  }
}

/** f_type of statfs(2): linux/magic.h, and Lustre's and BeeGFS's own headers. */
const NOT_FOR_CACHES: Record<number, string> = {
  26985: 'NFS',
  20859: 'SMB',
  4266872130: 'SMB',
  4283649346: 'CIFS',
  198183888: 'Lustre',
  12805120: 'Ceph',
  16914839: '9p',
  1196443219: 'GPFS',
  428016422: 'BeeGFS',
  1397113167: 'AFS',
  1702057286: 'FUSE',
  2035054128: 'overlay',
}

/**
 * The name of a network or overlay filesystem, where a node's cache is slower than the bucket or lost with the
 * container; undefined for a local disk. Its hex form is accepted whatever the sign of the field.
 */
export function unfitForCache(type: number): string | undefined {
  return NOT_FOR_CACHES[type >>> 0]
}

/** unfitForCache of the filesystem that holds `path`. */
export async function filesystemOf(path: string): Promise<string | undefined> {
  return unfitForCache((await statfs(path)).type)
}
