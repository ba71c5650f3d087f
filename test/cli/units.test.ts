import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  parseCount,
  parseDuration,
  parseLimit,
  parseRate,
  parseShare,
  parseSize,
} from '../../src/cli/units.ts'
import { LongshoreError } from '../../src/errors.ts'

function refuses(run: () => unknown, message: RegExp, hint: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof LongshoreError)
    assert.equal(error.code, 'USAGE')
    assert.match(error.message, message)
    assert.match(error.hint ?? '', hint)
    return true
  })
}

test('sizes are read with binary and decimal units', () => {
  assert.equal(parseSize('64MiB'), 64 * 2 ** 20)
  assert.equal(parseSize('64MB'), 64e6)
  assert.equal(parseSize('1.5 GiB'), 1.5 * 2 ** 30)
  assert.equal(parseSize('3tib'), 3 * 2 ** 40)
  assert.equal(parseSize('512B'), 512)
  assert.equal(parseSize('0'), 0)
})

test('a size without a clear unit is refused with both spellings that it could have meant', () => {
  refuses(() => parseSize('5'), /"5" has no unit/, /5MiB or 5MB/)
  refuses(() => parseSize('5G'), /"5G"/, /5GiB or 5GB/)
  refuses(() => parseSize('5k'), /"5k"/, /5KiB or 5KB/)
  refuses(() => parseSize('lots'), /not a size/, /64MiB/)
  refuses(() => parseSize('-5MiB'), /not a size/, /64MiB/)
  refuses(() => parseSize('9999999PiB'), /too large/, /./)
})

test('durations add up, and a bare number is refused', () => {
  assert.equal(parseDuration('90s'), 90_000)
  assert.equal(parseDuration('7d'), 7 * 86_400_000)
  assert.equal(parseDuration('1h30m'), 5_400_000)
  assert.equal(parseDuration('250ms'), 250)
  assert.equal(parseDuration('0'), 0)
  refuses(() => parseDuration('90'), /no unit/, /90s/)
  refuses(() => parseDuration('soon'), /not a duration/, /90s/)
})

test('rates are sizes a second', () => {
  assert.equal(parseRate('100MiB/s'), 100 * 2 ** 20)
  refuses(() => parseRate('100MiB'), /not a rate/, /100MiB\/s/)
  refuses(() => parseRate('0/s'), /move nothing/, /no limit/)
})

test('limits are sizes or a share of the filesystem', () => {
  assert.deepEqual(parseLimit('10%'), { percent: 10 })
  assert.deepEqual(parseLimit('3TiB'), { bytes: 3 * 2 ** 40 })
  refuses(() => parseLimit('110%'), /more than all/, /100%/)
  refuses(() => parseLimit('10'), /no unit/, /10GiB or 10%/)
})

test('shares and counts are whole and within their bounds', () => {
  assert.deepEqual(parseShare('2/8'), { index: 2, count: 8 })
  refuses(() => parseShare('8/8'), /no share of 8/, /0\/8 to 7\/8/)
  refuses(() => parseShare('1'), /not a share/, /0\/4/)
  assert.equal(parseCount('0', 0), 0)
  refuses(() => parseCount('0', 1), /from 1 on/, /./)
  refuses(() => parseCount('1.5', 0), /whole number/, /./)
})
