/** `1.2 GiB`, `512 B`: at most 9 characters. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let value = count
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2
  return `${value.toFixed(digits)} ${units[unit]}`
}

/** `12,345` */
export function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** `1 object`, `12,345 objects` */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}

/** `0.8 s`, `42 s`, `3:07`, `2:03:07` */
export function seconds(value: number): string {
  if (value < 10) return `${value.toFixed(1)} s`
  if (value < 60) return `${Math.round(value)} s`
  return clock(value)
}

/** `0:42`, `3:07`, `2:03:07` */
export function clock(value: number): string {
  const total = Math.max(0, Math.round(value))
  const [h, m, s] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60]
  const pad = (n: number): string => String(n).padStart(2, '0')
  return h > 0 ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`
}

/** `3 h ago`: how long ago `then` (ms since the epoch) was. */
export function ago(then: number, now = Date.now()): string {
  const past = Math.max(0, now - then) / 1000
  if (past < 60) return 'just now'
  if (past < 3600) return `${Math.floor(past / 60)} min ago`
  if (past < 48 * 3600) return `${Math.floor(past / 3600)} h ago`
  return `${Math.floor(past / 86400)} d ago`
}

/** Terminal columns of a text: wide East Asian characters take two, combining ones none. */
export function width(text: string): number {
  let columns = 0
  for (const character of text) {
    if (/\p{M}|\p{Cf}/u.test(character)) continue
    columns +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}]/u.test(
        character,
      )
        ? 2
        : 1
  }
  return columns
}

/** Shortens in the middle, where paths are most alike. */
export function fit(text: string, columns: number): string {
  if (width(text) <= columns) return text
  const characters = [...text]
  let left = Math.floor(characters.length / 3)
  let right = characters.length - left - 1
  const cut = (): string =>
    `${characters.slice(0, left).join('')}…${characters.slice(characters.length - right).join('')}`
  while (right > 0 && width(cut()) > columns) {
    if (left * 2 >= right && left > 0) left--
    else right--
  }
  return cut()
}

export interface Column {
  title: string
  /** Numbers stand right. */
  right?: boolean
  /** The column that gives way when the line is too long. */
  shrink?: boolean
}

/** Lines of a table, none longer than `columns`. Control characters in cells are made visible. */
export function table(
  heads: readonly Column[],
  rows: readonly (readonly string[])[],
  columns: number,
): string[] {
  const clean = rows.map((row) => row.map(printable))
  const widths = heads.map((head, i) =>
    Math.max(width(head.title), ...clean.map((row) => width(row[i] ?? ''))),
  )
  const gaps = 2 * (heads.length - 1)
  let over = widths.reduce((sum, w) => sum + w, gaps) - columns
  // The shrinking columns give way together, the widest first.
  while (over > 0) {
    let widest = -1
    for (const [i, head] of heads.entries()) {
      if (head.shrink && (widths[i] ?? 0) > 8 && (widths[i] ?? 0) > (widths[widest] ?? 0)) widest = i
    }
    if (widest < 0) break
    widths[widest] = (widths[widest] ?? 0) - 1
    over--
  }
  const line = (cells: readonly string[]): string =>
    heads
      .map((head, i) => {
        const columnWidth = widths[i] ?? 0
        const cell = fit(cells[i] ?? '', columnWidth)
        const space = ' '.repeat(Math.max(0, columnWidth - width(cell)))
        return head.right ? space + cell : cell + space
      })
      .join('  ')
      .trimEnd()
  return [line(heads.map((head) => head.title)), ...clean.map(line)]
}

/** Names come from outside: an escape sequence in one must not reach the terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (c) => `\\x${(c.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}`)
}
