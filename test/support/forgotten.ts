import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect: unknown = runInNewContext('gc')

/** Everything that nobody can reach is gone. */
export function collectGarbage(): void {
  if (typeof collect === 'function') collect()
}

/** How many of them are still held by somebody, when what is let go of late has had its time. */
export async function stillHeld(refs: readonly WeakRef<object>[]): Promise<number> {
  let held = refs.length
  for (let turn = 0; turn < 20 && held > 0; turn++) {
    // A WeakRef that was made or read in this turn of the loop holds on until the next one.
    await sleep(5)
    collectGarbage()
    held = refs.filter((ref) => ref.deref() !== undefined).length
  }
  return held
}
