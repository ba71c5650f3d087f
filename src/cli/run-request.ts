import type { CommandContext } from '../commands/context.ts'
import { EXIT, LongshoreError } from '../errors.ts'
import { S3_DEFAULTS } from '../s3/settings.ts'
import { loadConfig } from './config.ts'
import { endHard, watchDisk } from './dead-disk.ts'
import { engineOptions } from './engine-options.ts'
import { type ErrorReport, errorText, reportError } from './error-report.ts'
import { GLOBALS, type GlobalValues } from './global-options.ts'
import { readLane } from './lane.ts'
import { createLog, type Log } from './log.ts'
import { DEFINITIONS, type Request } from './program.ts'
import { createDisplay, type Display } from './progress.ts'
import { resolveOptions } from './resolve.ts'
import { watchSignals } from './signals.ts'
import { createOutput, written } from './stdout.ts'

/** Resolves the options, runs the command, shows what came of it. Returns the exit status and never throws. */
export async function runRequest(
  request: Request,
  argv: readonly string[],
  { graceMs }: { graceMs?: number } = {},
): Promise<number> {
  const { definition } = request
  const env = process.env
  const signals = watchSignals()
  const output = createOutput(process.stdout, () => {
    signals.abort(new LongshoreError('INTERRUPTED', 'the reader of stdout went away'))
  })
  // Until the options are known: as they are most often.
  let json = argv.includes('--json')
  let verbose = argv.includes('-v') || argv.includes('--verbose')
  let log: Log = await createLog({ format: 'text', verbose, color: false, stream: process.stderr })
  let display: Display | undefined
  const disk = watchDisk({ graceMs })
  let stuck = false
  const tell = (report: ErrorReport): void => {
    const { code, hint, path, stack } = report
    log.write('error', errorText(report), { code, hint, path, ...(verbose ? { stack } : {}) })
  }

  try {
    const tree = {
      globals: GLOBALS,
      commands: Object.fromEntries(DEFINITIONS.map(({ name, specs }) => [name, specs])),
    }
    const line = request.given
    const none = { find: () => undefined }
    const { config: configPath } = resolveOptions(
      { config: GLOBALS.config },
      { line, env, config: none, section: '' },
    )
    const config = await loadConfig(configPath, env, tree)
    const globals = resolveOptions(GLOBALS, { line, env, config, section: '' })
    json = globals.json
    verbose = globals.verbose
    log = await createLog({
      format: globals.logFormat,
      verbose,
      color: wantsColor(globals, env),
      stream: process.stderr,
    })
    const values = resolveOptions(definition.specs, { line, env, config, section: definition.name })
    checkWords(request)
    if (definition.writesBytes && json) {
      throw new LongshoreError('USAGE', `${definition.name} writes bytes to stdout, so there is no --json`, {
        hint: `leave out --json. Try: longshore ${definition.name} --help`,
      })
    }
    display = await createDisplay({
      mode: progressMode(globals, request),
      log,
      writeJson: json ? output.json : undefined,
      stderr: process.stderr,
      showItems: definition.tellsItems === true && !globals.quiet,
    })
    const context: CommandContext = {
      signal: signals.signal,
      progress: display,
      s3: settingsOf(globals, env),
      engine: engineOptions(globals, env, {
        mostWorkers: definition.mostWorkers,
        tell: (told) => display?.debug(told),
        onStuck: (error) => disk.met(error, { ends: definition.outlivesStuck !== true }),
        hold: disk.hold,
      }),
      partSize: globals.partSize,
      dryRun: globals.dryRun,
      env,
    }
    const running = definition.run({
      words: request.words,
      tail: request.tail,
      values,
      globals,
      context,
      config,
      output,
      columns: process.stdout.isTTY ? Math.max(40, process.stdout.columns || 80) : 80,
    })
    const outcome = await Promise.race([running, disk.overdue])
    display.stop()
    stuck = disk.holds
    if (stuck) tell(reportError(disk.error))
    const exit = stuck ? EXIT.killed : outcome.exit
    if (!json) for (const text of outcome.lines) output.line(text)
    else if (outcome.report !== undefined) {
      output.json({ type: 'summary', command: definition.name, ...outcome.report, exit })
    }
    return exit
  } catch (error) {
    display?.stop()
    stuck = disk.holds
    // `longshore cat … | head`: its reader had enough. Nothing to say, but not all of it was done.
    if (output.closed) return 1
    const report = withTry(reportError(error, signals.signal), definition.name)
    const { code, message, hint, path } = report
    stuck ||= code === 'STUCK'
    const exit = stuck ? EXIT.killed : report.exit
    if (json && !definition.writesBytes) {
      output.json({ type: 'error', command: definition.name, code, message, hint, path, exit })
    }
    tell(report)
    return exit
  } finally {
    disk.settled()
    if (stuck) await endHard([output.flushed(), written(process.stderr)])
    await output.flushed()
    signals.dispose()
  }
}

function withTry(report: ErrorReport, name: string): ErrorReport {
  if (report.code !== 'USAGE' || report.hint?.includes('Try: ')) return report
  const mend = report.hint === undefined ? '' : `${report.hint.replace(/\.$/, '')}. `
  return { ...report, hint: `${mend}Try: longshore ${name} --help` }
}

function checkWords({ definition, words, tail }: Request): void {
  const { name, least, most, takesCommand } = definition
  const help = `Try: longshore ${name} --help`
  if (tail !== undefined && !takesCommand) {
    throw new LongshoreError('USAGE', `${name} takes no command after --`, { hint: help })
  }
  if (tail?.length === 0) {
    throw new LongshoreError('USAGE', 'there is no command after --', {
      hint: `leave out --, or name CMD. ${help}`,
    })
  }
  if (words.length < least) {
    const missing = definition.words.split(' ')[words.length] ?? ''
    throw new LongshoreError('USAGE', `${name}: ${missing} is missing`, { hint: help })
  }
  if (words.length > most) {
    const mend = takesCommand ? 'put -- before CMD. ' : ''
    throw new LongshoreError('USAGE', `${name}: one word too many: "${words[most]}"`, { hint: mend + help })
  }
}

function progressMode(globals: GlobalValues, { definition }: Request): 'bar' | 'plain' | 'json' | 'none' {
  if (globals.quiet || globals.progress === 'none') return 'none'
  if (globals.json) return 'json'
  if (globals.progress !== 'auto') return globals.progress
  // A bar under a trainer's own output, or under bytes on the same terminal, would only be in the way.
  const shared = definition.drawsNoBar === true || (definition.writesBytes === true && process.stdout.isTTY)
  const terminal = process.stderr.isTTY && process.env.TERM !== 'dumb' && globals.logFormat === 'text'
  return terminal && !shared ? 'bar' : 'plain'
}

function wantsColor(globals: GlobalValues, env: NodeJS.ProcessEnv): boolean {
  const no = globals.noColor || (env.NO_COLOR !== undefined && env.NO_COLOR !== '') || env.TERM === 'dumb'
  return !no && process.stderr.isTTY === true
}

function settingsOf(globals: GlobalValues, env: NodeJS.ProcessEnv): CommandContext['s3'] {
  return {
    endpointUrl: globals.endpointUrl,
    region: globals.region,
    profile: globals.profile,
    noSignRequest: globals.noSignRequest,
    caBundle: globals.caBundle,
    noVerifySsl: globals.noVerifySsl,
    requestPayer: globals.requestPayer,
    expectedBucketOwner: globals.expectedBucketOwner,
    sse: globals.sse,
    sseKmsKeyId: globals.sseKmsKeyId,
    storageClass: globals.storageClass,
    pathStyle: globals.pathStyle,
    retries: globals.retries,
    timeoutMs: S3_DEFAULTS.timeoutMs,
    lane: readLane(env),
  }
}
