/** Names that say "not finished" in every framework's and tool's habit. */
const UNFINISHED =
  /(^tmp-)|(\.(tmp|temp|part|partial|incomplete|unfinished|crdownload|swp)$)|(\.tempstate)|(_temp$)|(-unfinished$)|(\.orbax-checkpoint-tmp)|(~$)/i

export function isUnfinished(name: string): boolean {
  return UNFINISHED.test(name)
}

/** Files that lie beside checkpoints and are none by themselves: logs, settings, metrics. */
const BESIDE =
  /(tfevents)|(\.(log|txt|out|err|csv|tsv|json|jsonl|yaml|yml|toml|ini|cfg|md|html|lock|pid|py|sh|db|wandb)(\.gz)?$)/i

export function isBeside(name: string): boolean {
  return BESIDE.test(name)
}

/**
 * The training step in a checkpoint's name: its last number (`ckpt-12`, `checkpoint-500`, `global_step1000`,
 * `epoch=3-step=500.ckpt`); decimals (`loss=0.35`) and extensions (`.h5`) are no steps.
 */
export function stepOf(name: string): number | null {
  const base = name.split('/').at(-1) ?? ''
  const stem = base.replace(/(\.[a-z]\w{0,12})+$/i, '').replace(/\d+\.\d+/g, ' ')
  const digits = stem.match(/\d+/g)?.at(-1)
  return digits === undefined || digits.length > 15 ? null : Number(digits)
}

/** `model-5` of `model-5.pt`: files that differ only in their last extension belong together. */
export function stemOf(name: string): string {
  const at = name.search(/\.[a-z]\w{0,12}$/i)
  return at > 0 ? name.slice(0, at) : name
}
