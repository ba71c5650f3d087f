import { printable } from './format.ts'

export type Level = 'debug' | 'info' | 'warn' | 'error'

/** stderr, as text or as pino's JSON lines. The only writer to it beside the bar. */
export interface Log {
  write(level: Level, message: string, fields?: Readonly<Record<string, unknown>>): void
  /** Set by the bar: runs around every line, so that the line does not land in the bar. */
  around: { before(): void; after(): void } | undefined
}

export interface LogOptions {
  format: 'text' | 'json'
  verbose: boolean
  color: boolean
  stream: NodeJS.WritableStream
}

const COLORS: Partial<Record<Level, string>> = { warn: '\x1b[33m', error: '\x1b[31m' }

export async function createLog(options: LogOptions): Promise<Log> {
  return options.format === 'json' ? jsonLog(options) : textLog(options)
}

export function textLog({ verbose, color, stream }: Omit<LogOptions, 'format'>): Log {
  const log: Log = {
    around: undefined,
    write(level, message, fields = {}) {
      if (level === 'debug' && !verbose) return
      const paint = color ? COLORS[level] : undefined
      const name = paint === undefined ? 'longshore:' : `${paint}longshore:\x1b[0m`
      // Only a stack (-v) has more than one line; names with line breaks must not forge lines.
      const stack = typeof fields.stack === 'string' ? `\n${fields.stack}` : ''
      const word = level === 'warn' ? 'warning: ' : ''
      log.around?.before()
      stream.write(`${name} ${word}${printable(message)}${stack}\n`)
      log.around?.after()
    },
  }
  return log
}

async function jsonLog({ verbose }: LogOptions): Promise<Log> {
  const { pino } = await import('pino')
  const logger = pino(
    { name: 'longshore', base: { pid: process.pid }, level: verbose ? 'debug' : 'info' },
    pino.destination({ fd: 2, sync: true }),
  )
  return {
    around: undefined,
    write(level, message, fields = {}) {
      logger[level](fields, message)
    },
  }
}
