import { type ErrorCode, isLongshoreError, LongshoreError } from '../errors.ts'
import type { ConfigFile, Environment } from './config.ts'
import { nameOf, type Spec, type Specs, type Values, variableOf } from './spec.ts'

/** What the command line gave for an option: its texts, true/false for a flag; undefined: not given there. */
export type GivenOnLine = (spec: Spec<unknown>) => string[] | boolean | undefined

export interface Sources {
  line: GivenOnLine
  env: Environment
  config: ConfigFile
  /** The config file's section of this command; '' for the global options. */
  section: string
}

/** Flag, then LONGSHORE_*, then AWS_*, then the config file, then the default. */
export function resolveOptions<S extends Specs>(specs: S, sources: Sources): Values<S> {
  const values: Record<string, unknown> = {}
  for (const [key, spec] of Object.entries(specs)) values[key] = resolveOne(spec, sources)
  return values as Values<S>
}

function resolveOne(spec: Spec<unknown>, { line, env, config, section }: Sources): unknown {
  const name = nameOf(spec)

  const given = line(spec)
  if (given !== undefined) {
    if (typeof given === 'boolean') return given
    return read(spec, given, `--${name}`, 'USAGE')
  }

  const variable = variableOf(name)
  const own = env[variable]
  if (own !== undefined && own !== '') {
    if (spec.kind === 'flag') return truth(own, variable)
    return read(spec, spec.kind === 'list' ? own.split('\n') : [own], variable, 'BAD_CONFIG')
  }
  const offVariable = variableOf(`no-${name}`)
  const off = spec.off === undefined ? undefined : env[offVariable]
  if (off !== undefined && off !== '' && truth(off, offVariable)) return false

  for (const { name: aws, convert } of spec.aws ?? []) {
    const text = env[aws]
    if (text === undefined || text === '') continue
    return attempt(aws, 'BAD_CONFIG', () => spec.parse(convert === undefined ? text : convert(text)))
  }

  if (!spec.commandLineOnly) {
    const found =
      (section === '' ? undefined : config.find(section, name)) ??
      (section === '' || spec.shared === true ? config.find('', name) : undefined)
    if (found !== undefined) {
      if (spec.kind === 'flag') return found.texts[0] === 'true'
      if (spec.off !== undefined && found.texts[0] === 'false') return false
      return read(spec, found.texts, `${found.where}: ${name}`, 'BAD_CONFIG')
    }
  }
  return spec.fallback
}

function read(spec: Spec<unknown>, texts: readonly string[], origin: string, code: ErrorCode): unknown {
  return attempt(origin, code, () => {
    if (spec.kind === 'list') return texts.filter((text) => text !== '').flatMap((text) => spec.parse(text))
    return spec.parse(texts.at(-1) ?? '')
  })
}

function attempt<T>(origin: string, code: ErrorCode, run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (!isLongshoreError(error)) throw error
    throw new LongshoreError(code, `${origin}: ${error.message}`, { hint: error.hint })
  }
}

function truth(text: string, variable: string): boolean {
  if (/^(1|true|yes|on)$/i.test(text)) return true
  if (/^(0|false|no|off)$/i.test(text)) return false
  throw new LongshoreError('BAD_CONFIG', `${variable}: "${text}" is neither yes nor no`, {
    hint: `write ${variable}=1 or ${variable}=0`,
  })
}
