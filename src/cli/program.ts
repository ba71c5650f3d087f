import { Command, Help } from 'commander'
import type { AnyDefinition } from './command.ts'
import { catCommand } from './commands/cat.ts'
import { demoCommand } from './commands/demo.ts'
import { evictCommand } from './commands/evict.ts'
import { packCommand } from './commands/pack.ts'
import { preloadCommand } from './commands/preload.ts'
import { releaseCommand } from './commands/release.ts'
import { restoreCommand } from './commands/restore.ts'
import { statusCommand } from './commands/status.ts'
import { syncCommand } from './commands/sync.ts'
import { exitHelp } from './exit-table.ts'
import { GLOBALS } from './global-options.ts'
import { nameOf, type Spec, toOptions } from './spec.ts'

export const DEFINITIONS: readonly AnyDefinition[] = [
  packCommand,
  preloadCommand,
  catCommand,
  syncCommand,
  restoreCommand,
  evictCommand,
  releaseCommand,
  statusCommand,
  demoCommand,
]

/** What one run of the command line asked for. */
export interface Request {
  definition: AnyDefinition
  words: string[]
  tail: string[] | undefined
  /** undefined: not on the line. */
  given(spec: Spec<unknown>): string[] | boolean | undefined
}

export interface ProgramOptions {
  version: string
  /** The words after the program's name: commander forgets where `--` stood. */
  argv: readonly string[]
  onRequest(request: Request): Promise<void>
  write(text: string): void
}

/** The command tree. Building it loads nothing but commander: commands import their work when they run. */
export function buildProgram({ version, argv, onRequest, write }: ProgramOptions): Command {
  const program = new Command('longshore')
    .usage('[global options] <command>')
    .description(
      'Training data onto a node before the job, checkpoints off it while the job runs: packs small S3 objects into shards, preloads them, syncs checkpoints, keeps the cache in its limits.',
    )
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
  dress(program, write)
  for (const option of Object.values(GLOBALS).flatMap(toOptions)) program.addOption(option)
  // Commands first; the many options that they share after them.
  program.configureHelp({
    ...HELP,
    visibleOptions: () => [],
    subcommandTerm: (command) => `${command.name()} ${wordsOf(command.name())}`.trim(),
  })
  program.addHelpText('after', () => `\n${globalHelp(program)}\n\n${ORIGINS}\n\n${exitHelp(false)}`)

  for (const definition of DEFINITIONS) {
    const command = program
      .command(definition.name)
      .summary(definition.summary)
      .description(definition.description)
      .usage(`${definition.words}${definition.takesCommand ? ' [options] [-- CMD...]' : ' [options]'}`)
      .helpOption('-h, --help', 'print this help')
      .argument('[words...]')
    dress(command, write)
    // The words are said in the usage line; commander's own list of them would say "words".
    command.configureHelp({ ...HELP, visibleArguments: () => [] })
    for (const option of Object.values(definition.specs).flatMap(toOptions)) command.addOption(option)
    command.addHelpText('after', () => `\n${after(definition)}`)
    command.action(async () => {
      const { words, tail } = splitTail(command.args, argv)
      await onRequest({
        definition,
        words,
        tail,
        given: (spec) => givenOnLine(spec, command) ?? givenOnLine(spec, program),
      })
    })
  }
  return program
}

const HELP = { helpWidth: 80, showGlobalOptions: false }

/** Errors are thrown, never printed here; help goes where `write` says. */
function dress(command: Command, write: (text: string) => void): void {
  command
    .exitOverride()
    .configureHelp(HELP)
    .configureOutput({
      writeOut: write,
      writeErr: () => {},
      outputError: () => {},
      getOutHelpWidth: () => 80,
    })
}

const ORIGINS =
  'Every long option can also be set in the environment (--cache-dir as\nLONGSHORE_CACHE_DIR) or in the config file. The command line wins, then\nLONGSHORE_*, then AWS_*, then the config file.'

function after(definition: AnyDefinition): string {
  const examples = ['Examples:', ...definition.examples.map((example) => `  ${example}`)].join('\n')
  const globals =
    'Global options, before or after the command (see longshore --help):\n  --config, --endpoint-url, --region, --profile, --concurrency, --memory,\n  --bwlimit, -n/--dry-run, --json, --progress, -q, -v, …'
  return [examples, globals, exitHelp(definition.takesCommand === true)].join('\n\n')
}

function wordsOf(name: string): string {
  if (name === 'help') return '[command]'
  return DEFINITIONS.find((definition) => definition.name === name)?.words ?? ''
}

function globalHelp(program: Command): string {
  const help = new Help()
  help.prepareContext({ helpWidth: 80 })
  const options = help.visibleOptions(program)
  const column = Math.max(...options.map((option) => help.optionTerm(option).length))
  const items = options.map((option) =>
    help.formatItem(help.optionTerm(option), column, help.optionDescription(option), help),
  )
  return ['Global options (before or after the command):', ...items].join('\n')
}

/** commander drops `--`; what followed it is the end of the words. */
function splitTail(
  args: readonly string[],
  raw: readonly string[],
): { words: string[]; tail: string[] | undefined } {
  const at = raw.indexOf('--')
  if (at < 0) return { words: [...args], tail: undefined }
  const tail = raw.slice(at + 1)
  return { words: args.slice(0, args.length - tail.length), tail }
}

function givenOnLine(spec: Spec<unknown>, command: Command): string[] | boolean | undefined {
  const name = nameOf(spec)
  const option = command.options.find((candidate) => candidate.long === `--${name}`)
  if (option === undefined) return undefined
  const attribute = option.attributeName()
  if (command.getOptionValueSource(attribute) !== 'cli') return undefined
  const found: unknown = command.getOptionValue(attribute)
  if (spec.kind === 'flag') return option.negate ? found === false : found === true
  if (found === false) return false
  return Array.isArray(found) ? found.map(String) : [String(found)]
}
