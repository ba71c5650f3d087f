export interface Aside {
  /** Starts `work`, unless some is still under way. */
  start(work: () => Promise<void>): void
  /** Throws what earlier work failed with. */
  check(): void
  /** Waits for what is under way. Throws what it failed with. */
  end(): Promise<void>
}

/** Work that asks the store, beside the scans: a store that is slow or down must not keep them from staging. */
export function createAside(onFailed: () => void): Aside {
  let work: Promise<void> | undefined
  let failed: { error: unknown } | undefined
  const check = (): void => {
    if (failed !== undefined) throw failed.error
  }
  return {
    check,
    start(begin) {
      work ??= begin()
        .catch((error: unknown) => {
          failed = { error }
          onFailed()
        })
        .finally(() => {
          work = undefined
        })
    },
    async end() {
      await work
      check()
    },
  }
}
