/** A place among those that go in order. */
export interface Turn {
  /** Resolves when all before it are over. */
  readonly comes: Promise<void>
  /** Lets the next one go. Called again it does nothing. */
  over(): void
}

/** One after the other, in the order in which the turns were taken, not in that in which they are ready. */
export function openOrder(): () => Turn {
  let last = Promise.resolve()
  return () => {
    const comes = last
    let end = (): void => {}
    const ended = new Promise<void>((resolve) => {
      end = resolve
    })
    last = comes.then(() => ended)
    return { comes, over: end }
  }
}
