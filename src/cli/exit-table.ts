/** The statuses as help, man pages and docs/errors.md show them. */
export const EXIT_TABLE: readonly (readonly [string, string])[] = [
  ['0', 'done: all of it'],
  ['1', 'failed'],
  ['2', 'usage or configuration'],
  ['3', 'incomplete: gaps found by --check, skipped by request, nothing to restore'],
  ['4', 'integrity: bytes that are not what they should be'],
  ['5', 'no space, or over a limit'],
  ['6', 'locked, or superseded by another writer'],
  ['75', 'stopped before everything pending was committed (sync)'],
  ['130', 'SIGINT (sync: 0 or 75)'],
  ['137', 'a disk does not answer: ended by a SIGKILL of its own'],
  ['143', 'SIGTERM (sync: 0 or 75)'],
]

export function exitHelp(takesCommand: boolean): string {
  const rows = EXIT_TABLE.map(([status, meaning]) => `  ${status.padEnd(4)} ${meaning}`)
  if (takesCommand) rows.push("  With CMD: CMD's own status, 126 or 127 when it could not be started.")
  return ['Exit status:', ...rows].join('\n')
}
