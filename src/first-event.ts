import type { EventEmitter } from 'node:events'

/** Resolves with the first of these events, and leaves no listener behind. */
export function firstEvent(...events: readonly (readonly [EventEmitter, string])[]): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const [emitter, name] of events) emitter.removeListener(name, done)
      resolve()
    }
    for (const [emitter, name] of events) emitter.on(name, done)
  })
}
