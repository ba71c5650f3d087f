import { LongshoreError } from '../errors.ts'

const SIZE_UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  pb: 1e15,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
  pib: 2 ** 50,
}

const TIME_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1e3,
  m: 60e3,
  h: 3600e3,
  d: 86400e3,
  w: 7 * 86400e3,
}

/** What a value may not be, in words; the reader of the value puts the option's or variable's name before it. */
function refuse(message: string, hint: string): never {
  throw new LongshoreError('USAGE', message, { hint })
}

/** `64MiB`, `1.5 TB`, `0`: whole bytes. A bare number is refused, because nobody can say what it means. */
export function parseSize(text: string): number {
  const found = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim())
  if (found === null) refuse(`"${text}" is not a size`, 'write a number and a unit, such as 64MiB or 64MB')
  const [, digits = '', unit = ''] = found
  if (Number(digits) === 0) return 0
  const factor = SIZE_UNITS[unit.toLowerCase()]
  if (factor === undefined) {
    const letter = /^[kmgtp]$/i.test(unit) ? unit.toUpperCase() : 'M'
    refuse(
      unit === '' ? `"${text}" has no unit` : `"${text}" has no unit that longshore knows`,
      `write ${digits}${letter === 'K' ? 'KiB' : `${letter}iB`} or ${digits}${letter}B`,
    )
  }
  const bytes = Math.round(Number(digits) * factor)
  if (!Number.isSafeInteger(bytes)) refuse(`"${text}" is too large`, 'write a size below 8PiB')
  return bytes
}

/** `90s`, `7d`, `1h30m`, `0`: milliseconds. */
export function parseDuration(text: string): number {
  const trimmed = text.trim().toLowerCase()
  if (/^0+$/.test(trimmed)) return 0
  if (/^\d+(\.\d+)?$/.test(trimmed))
    refuse(`"${text}" has no unit`, `write ${trimmed}s, ${trimmed}m or ${trimmed}d`)
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d|w))+$/.test(trimmed)) {
    refuse(`"${text}" is not a duration`, 'write a number and a unit, such as 90s, 15m, 12h or 7d')
  }
  let total = 0
  for (const [, digits = '', unit = ''] of trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d|w)/g)) {
    total += Number(digits) * (TIME_UNITS[unit] ?? 0)
  }
  if (!Number.isSafeInteger(Math.round(total))) refuse(`"${text}" is too long`, 'write a shorter duration')
  return Math.round(total)
}

/** `100MiB/s`: bytes a second. */
export function parseRate(text: string): number {
  const found = /^(.*)\/s$/i.exec(text.trim())
  if (found === null) refuse(`"${text}" is not a rate`, 'write a size a second, such as 100MiB/s')
  const bytes = parseSize(found[1] ?? '')
  if (bytes === 0) refuse(`"${text}" would move nothing`, 'leave the option out for no limit')
  return bytes
}

/** `3TiB` or `10%`: a limit of the cache. */
export function parseLimit(text: string): { bytes: number } | { percent: number } {
  const found = /^(\d+(?:\.\d+)?)\s*%$/.exec(text.trim())
  if (found === null) {
    if (/^\d+(\.\d+)?$/.test(text.trim()) && Number(text) !== 0) {
      refuse(`"${text}" has no unit`, `write ${text.trim()}GiB or ${text.trim()}%`)
    }
    return { bytes: parseSize(text) }
  }
  const percent = Number(found[1])
  if (percent > 100) refuse(`"${text}" is more than all`, 'write 0% to 100%')
  return { percent }
}

/** A whole number from `min` on. */
export function parseCount(text: string, min: number): number {
  const value = /^\d+$/.test(text.trim()) ? Number(text.trim()) : Number.NaN
  if (!Number.isSafeInteger(value) || value < min) {
    refuse(`"${text}" is not a whole number from ${min} on`, `write a number such as ${Math.max(min, 4)}`)
  }
  return value
}

/** `2/8`: share 2 of 8, counted from 0. */
export function parseShare(text: string): { index: number; count: number } {
  const found = /^(\d+)\/(\d+)$/.exec(text.trim())
  if (found === null) refuse(`"${text}" is not a share`, 'write NUMBER/COUNT, counted from 0, such as 0/4')
  const [index, count] = [Number(found[1]), Number(found[2])]
  if (!Number.isSafeInteger(count) || count < 1 || index >= count) {
    refuse(
      `"${text}" is no share of ${count}`,
      `write 0/${Math.max(count, 1)} to ${Math.max(count, 1) - 1}/${Math.max(count, 1)}`,
    )
  }
  return { index, count }
}

/** One of the words. */
export function oneOf<const T extends string>(words: readonly T[]): (text: string) => T {
  return (text) => {
    const found = words.find((word) => word === text.trim())
    if (found === undefined) refuse(`"${text}" is not offered`, `write ${listOf(words)}`)
    return found
  }
}

/** A word, or what `otherwise` reads. */
export function wordOr<const W extends string, T>(
  word: W,
  otherwise: (text: string) => T,
): (text: string) => W | T {
  return (text) => (text.trim() === word ? word : otherwise(text))
}

function listOf(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}
