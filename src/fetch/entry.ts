/** One file of a version: what to fetch, and where it lands. Plain data. */
export interface FileEntry {
  /** The key relative to the source's prefix. */
  name: string
  /** Safe path relative to the version's folder. */
  path: string
  size: number
  /** '' : the source's manifest names none; its CRC-32 stands for it */
  etag: string
  /** CRC-32 of the whole file, where the manifest has it. */
  crc32?: number | undefined
}
