/** What the scanner found to be complete, frozen in the stage: hard links that the writer's rotation can't take away. */
export interface StagedCheckpoint {
  /** Stable name within the run: a folder ('checkpoint-500'), or a TensorFlow prefix ('ckpt-12'). Unique a commit. */
  name: string
  /** Training step, where the layout tells. */
  step: number | null
  /** Which layout judged it complete: 'marker', 'settle', 'tensorflow'. */
  layout: string
  /** Rank in which the writer completed it, counted by this sidecar: newest = highest (epoch, ordinal). */
  ordinal: number
  files: StagedFile[]
  /** Pointer files (TensorFlow's `checkpoint`, `latest`): kept inside the commit, mirrored at their path after it. */
  pointers: StagedPointer[]
}

export interface StagedFile {
  /** Relative to DIR, '/'-separated: also its path in the bucket. */
  path: string
  /** Where to read the frozen bytes now. */
  staged: string
  size: number
  /** permission bits, e.g. 0o644 */
  mode: number
  /** ns, as a decimal string: tells an unchanged file from a rewritten one. */
  mtimeNs: string
  inode: string
  /** A symbolic link's target, relative and inside DIR; then size is 0 and nothing is uploaded. */
  symlink?: string | undefined
}

export interface StagedPointer {
  path: string
  mode: number
  bytes: Uint8Array
}
