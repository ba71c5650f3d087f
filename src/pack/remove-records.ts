import { isLongshoreError } from '../errors.ts'
import type { Desk } from './documents.ts'

/** Removes what lies below `prefix` and only helped to get here. Not everyone who may write may delete. */
export async function removeRecords(desk: Desk, prefix: string): Promise<void> {
  const { store, signal } = desk
  try {
    for await (const { objects } of store.listPages({ prefix, signal })) {
      if (objects.length > 0)
        await store.remove(
          objects.map(({ key }) => key),
          { signal },
        )
    }
  } catch (error) {
    signal.throwIfAborted()
    if (!isLongshoreError(error)) throw error
  }
}
