import { Option } from 'commander'

/**
 * One option, said once: the command line, LONGSHORE_* variables, the config file, help and man pages are all
 * read from it. `parse` gets text whatever the origin, and throws a USAGE error without the option's name.
 */
export interface Spec<T> {
  /** As commander writes it: `--shard-size <SIZE>`. */
  flags: string
  description: string
  kind: 'flag' | 'value' | 'list'
  /** A list's `parse` gets one element and gives an array. */
  parse(text: string): T
  fallback: T
  /** Shown in help: what happens without the option. */
  unless?: string | undefined
  /** The description of `--no-…`, where the value can be switched off (then it is false). */
  off?: string | undefined
  aws?: readonly AwsVariable[] | undefined
  /** The config key is at the file's top, because several commands share it. */
  shared?: boolean | undefined
  /** May not come from the config file. */
  commandLineOnly?: boolean | undefined
}

export interface AwsVariable {
  name: string
  /** Where the variable's text is not the flag's. */
  convert?: (text: string) => string
}

export type Specs = Readonly<Record<string, Spec<unknown>>>
export type Values<S extends Specs> = { [K in keyof S]: S[K] extends Spec<infer T> ? T : never }

type Extra = Pick<Spec<unknown>, 'unless' | 'aws' | 'shared' | 'commandLineOnly'>

export function flag(flags: string, description: string, extra: Extra = {}): Spec<boolean> {
  return { flags, description, kind: 'flag', parse: (text) => text === 'true', fallback: false, ...extra }
}

export function value<T>(
  flags: string,
  description: string,
  parse: (text: string) => T,
  extra?: Extra,
): Spec<T | undefined>
export function value<T, const D>(
  flags: string,
  description: string,
  parse: (text: string) => T,
  extra: Extra & { fallback: D },
): Spec<T | D>
export function value<T>(
  flags: string,
  description: string,
  parse: (text: string) => T,
  extra: Extra & { fallback?: unknown } = {},
): Spec<unknown> {
  return { flags, description, kind: 'value', parse, fallback: undefined, ...extra }
}

/** May be given several times; with `commas`, one value may hold several. */
export function list(
  flags: string,
  description: string,
  extra: Extra & { commas?: boolean } = {},
): Spec<string[]> {
  const { commas, ...rest } = extra
  const parse = (text: string): string[] =>
    commas
      ? text
          .split(',')
          .map((part) => part.trim())
          .filter((part) => part !== '')
      : [text]
  return { flags, description, kind: 'list', parse, fallback: [], ...rest }
}

/** `--shuffle 3` and `--no-shuffle` in one: the value, false, or undefined when neither was given. */
export function switchable<T>(
  flags: string,
  description: string,
  off: string,
  parse: (text: string) => T,
): Spec<T | false | undefined> {
  return { flags, description, kind: 'value', parse, fallback: undefined, off }
}

/** `shard-size` */
export function nameOf(spec: Spec<unknown>): string {
  return /--([a-z0-9-]+)/.exec(spec.flags)?.[1] ?? spec.flags
}

/** `LONGSHORE_SHARD_SIZE` */
export function variableOf(name: string): string {
  return `LONGSHORE_${name.replaceAll('-', '_').toUpperCase()}`
}

/** commander only splits the words; values stay text until resolve.ts reads them. */
export function toOptions(spec: Spec<unknown>): Option[] {
  const unless = spec.unless === undefined ? '' : ` (default: ${spec.unless})`
  const option = new Option(spec.flags, spec.description + unless)
  if (spec.kind === 'list') {
    option.argParser((text: string, before: unknown) => [...(Array.isArray(before) ? before : []), text])
  }
  return spec.off === undefined ? [option] : [option, new Option(`--no-${nameOf(spec)}`, spec.off)]
}
