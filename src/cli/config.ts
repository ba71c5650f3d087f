import { access, constants, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import { LongshoreError } from '../errors.ts'
import { nameOf, type Spec, type Specs } from './spec.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Prices of the store, in the config only: what a dry run multiplies its counts with. */
export interface Prices {
  currency: string
  /** per 1,000 requests */
  list: number
  get: number
  put: number
  /** per GiB moved */
  transfer: number
}

export interface ConfigFile {
  /** The file it came from; undefined: there is none. */
  path?: string | undefined
  /** The value's text (a list: one text an element), and where it stands, as `FILE:LINE`. */
  find(section: string, key: string): { texts: string[]; where: string } | undefined
  prices?: Prices | undefined
}

const NONE: ConfigFile = { find: () => undefined }

/** Where a config file is looked for, first found wins; an explicit one must exist. */
export function configPlaces(env: Environment): string[] {
  const xdg = env.XDG_CONFIG_HOME
  const home = env.HOME ?? homedir()
  const base = xdg !== undefined && isAbsolute(xdg) ? xdg : join(home, '.config')
  return [join(base, 'longshore', 'config.yaml'), '/etc/longshore/config.yaml']
}

/**
 * Reads and checks the config file. Every problem is BAD_CONFIG and names file and line. The YAML and schema
 * libraries are loaded only when there is a file.
 */
export async function loadConfig(
  explicit: string | undefined,
  env: Environment,
  tree: { globals: Specs; commands: Readonly<Record<string, Specs>> },
): Promise<ConfigFile> {
  for (const path of explicit === undefined ? configPlaces(env) : [explicit]) {
    let text: string
    try {
      text = await readFile(path, 'utf8')
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : ''
      if (explicit === undefined && (code === 'ENOENT' || code === 'ENOTDIR')) continue
      // A container's HOME is often another user's: what may not even be looked into is not this user's config.
      if (explicit === undefined && code === 'EACCES' && !(await canEnter(dirname(path)))) continue
      throw new LongshoreError('BAD_CONFIG', `config file ${path} can't be read (${String(code)})`, {
        path,
        hint: code === 'ENOENT' ? 'give --config an existing file' : 'make it readable for this user',
        cause: error,
      })
    }
    return parseConfig(path, text, tree)
  }
  return NONE
}

function canEnter(folder: string): Promise<boolean> {
  return access(folder, constants.X_OK).then(
    () => true,
    () => false,
  )
}

async function parseConfig(
  path: string,
  text: string,
  tree: { globals: Specs; commands: Readonly<Record<string, Specs>> },
): Promise<ConfigFile> {
  const [{ parseDocument, LineCounter, isMap }, z] = await Promise.all([
    import('./late-yaml.ts'),
    import('../late-zod.ts'),
  ])
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true })
  const problem = document.errors[0]
  if (problem !== undefined) {
    const where = `${path}:${lines.linePos(problem.pos[0]).line}`
    throw new LongshoreError('BAD_CONFIG', `${where}: ${problem.message.split('\n')[0]}`, {
      path,
      hint: 'it must be YAML: see docs/configuration.md',
    })
  }
  const lineOf = (keys: readonly PropertyKey[]): number => {
    let node: unknown = document.contents
    let line = 1
    for (const key of keys) {
      if (!isMap(node)) break
      const pair = node.items.find((item) => String(item.key) === String(key))
      const range = (pair?.key as { range?: [number, number, number] } | undefined)?.range
      if (range !== undefined) line = lines.linePos(range[0]).line
      node = pair?.value
    }
    return line
  }

  const scalar = z.union([z.string(), z.number(), z.boolean()])
  const schemaOf = (spec: Spec<unknown>) =>
    spec.kind === 'flag'
      ? z.boolean()
      : spec.kind === 'list'
        ? z.union([z.string(), z.array(z.string())])
        : spec.off !== undefined
          ? scalar
          : z.union([z.string(), z.number()])
  const fields = (specs: Specs, only: (spec: Spec<unknown>) => boolean) =>
    Object.fromEntries(
      Object.values(specs)
        .filter((spec) => only(spec) && !spec.commandLineOnly)
        .map((spec) => [nameOf(spec), schemaOf(spec).optional()]),
    )
  const price = z.number().nonnegative().optional()
  const sections: Record<string, unknown> = {}
  let top = fields(tree.globals, () => true)
  for (const [name, specs] of Object.entries(tree.commands)) {
    top = { ...top, ...fields(specs, (spec) => spec.shared === true) }
    sections[name] = z.strictObject(fields(specs, () => true)).nullish()
  }
  const schema = z.strictObject({
    ...top,
    ...(sections as Record<string, ReturnType<typeof z.strictObject>>),
    prices: z
      .strictObject({
        currency: z.string().max(8).optional(),
        'list-per-1000': price,
        'get-per-1000': price,
        'put-per-1000': price,
        'transfer-per-gib': price,
      })
      .optional(),
  })

  const data: unknown = document.toJS({ maxAliasCount: 10 }) ?? {}
  const checked = schema.safeParse(data)
  if (!checked.success) {
    const issue = checked.error.issues[0]
    const unknown = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined
    const keys = [...(issue?.path ?? []), ...(unknown === undefined ? [] : [unknown])]
    const what =
      unknown === undefined
        ? `${keys.join('.') || 'the file'}: ${issue?.code === 'invalid_union' ? 'not a value for this key' : issue?.message}`
        : `unknown key "${keys.join('.')}"`
    throw new LongshoreError('BAD_CONFIG', `${path}:${lineOf(keys)}: ${what}`, {
      path,
      hint: 'the keys are the long options: see docs/configuration.md',
    })
  }

  const root = data as Record<string, unknown>
  const prices = root.prices as Record<string, number | string | undefined> | undefined
  return {
    path,
    find(section, key) {
      const group = section === '' ? root : (root[section] as Record<string, unknown> | null | undefined)
      const found = group?.[key]
      if (found === undefined || found === null) return undefined
      const texts = Array.isArray(found) ? found.map(String) : [String(found)]
      return { texts, where: `${path}:${lineOf(section === '' ? [key] : [section, key])}` }
    },
    prices:
      prices === undefined
        ? undefined
        : {
            currency: String(prices.currency ?? 'USD'),
            list: Number(prices['list-per-1000'] ?? 0),
            get: Number(prices['get-per-1000'] ?? 0),
            put: Number(prices['put-per-1000'] ?? 0),
            transfer: Number(prices['transfer-per-gib'] ?? 0),
          },
  }
}
