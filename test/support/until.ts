import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

/** Looks again until it is so; gives up long before the runner does. */
export async function until(isSo: () => boolean, { times = 1500, everyMs = 20 } = {}): Promise<void> {
  for (let n = 0; n < times; n++) {
    if (isSo()) return
    await sleep(everyMs)
  }
  assert.fail('it did not come to pass')
}
