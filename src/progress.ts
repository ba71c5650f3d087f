/**
 * What a job tells while it works. Jobs only count; src/cli decides what a person sees (a bar, a line every
 * 10 s, a JSON line). Every method is cheap enough to be called once an object.
 */
export interface Progress {
  /** A new stage of the work begins: 'list', 'fetch', 'pack', 'verify', 'upload'… Totals start again at 0. */
  phase(name: string): void
  /** Adds to what there is to do in this phase (may grow while a listing streams). */
  expect(todo: { bytes?: number; objects?: number }): void
  /** Adds to what is done in this phase. */
  done(part: { bytes?: number; objects?: number }): void
  retry(reason: string): void
  /** Something a person should read, once. Goes to stderr (`--json`: an item line of kind "warning"). */
  warn(message: string, about?: { path?: string; hint?: string }): void
  /** Shown with -v only. */
  debug(message: string): void
  /** A finished thing, for `--json` ("item" lines) and `-v`: a shard, a committed checkpoint, an evicted dataset. */
  item(kind: string, fields: Record<string, unknown>): void
}

/** Progress that nobody watches (tests, library use). */
export const SILENT: Progress = {
  phase() {},
  expect() {},
  done() {},
  retry() {},
  warn() {},
  debug() {},
  item() {},
}
