import type { CommandContext } from '../commands/context.ts'
import type { ConfigFile } from './config.ts'
import type { GlobalValues } from './global-options.ts'
import type { Specs, Values } from './spec.ts'
import type { Output } from './stdout.ts'

export interface Invocation<S extends Specs> {
  /** The words before `--`. */
  words: readonly string[]
  /** The words after `--`; undefined: there was none. */
  tail: readonly string[] | undefined
  values: Values<S>
  globals: GlobalValues
  context: CommandContext
  config: ConfigFile
  output: Output
  /** Columns that a table may take. */
  columns: number
}

export interface Outcome {
  exit: number
  /** stdout, without --json. */
  lines: readonly string[]
  /** The summary line of --json; undefined: the command wrote bytes. */
  report?: object | undefined
}

/** One command of the tree: what the user may type, and what is called then. */
export interface Definition<S extends Specs> {
  name: string
  /** As usage shows it: `<SRC> <DST>`. */
  words: string
  /** How many words it takes. */
  least: number
  most: number
  /** It may be followed by `-- CMD…`. */
  takesCommand?: boolean
  /** It writes raw bytes to stdout, so there is no --json. */
  writesBytes?: boolean
  /** Finished things are told on stderr without -v: they are its news. */
  tellsItems?: boolean
  /** Its own lines, or a trainer's, share the terminal: a bar would be in their way. */
  drawsNoBar?: boolean
  /** A disk that does not answer does not end it: it tries again later. Where it ends, a thread may be held all the same. */
  outlivesStuck?: boolean
  /** Worker threads at most, with --workers auto: it runs beside someone else's work. */
  mostWorkers?: number
  summary: string
  description: string
  examples: readonly string[]
  specs: S
  run(invocation: Invocation<S>): Promise<Outcome>
}

export type AnyDefinition = Definition<Specs>

/** Ties the types of `values` to `specs`. */
export function defineCommand<S extends Specs>(definition: Definition<S>): AnyDefinition {
  return definition as unknown as AnyDefinition
}
