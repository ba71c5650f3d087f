export interface Aside {
  /** Starts `work`, unless some is still under way. Throws what earlier work failed with. */
  start(work: () => Promise<void>): void
  /** Waits for what is under way. Throws what it failed with. */
  end(): Promise<void>
}

/** Work that asks the store, beside the scans: a store that is slow or down must not keep them from staging. */
export function createAside(onFailed: () => void): Aside {
  let work: Promise<void> | undefined
  let failed: { error: unknown } | undefined
  return {
    start(begin) {
      if (failed !== undefined) throw failed.error
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
      if (failed !== undefined) throw failed.error
    },
  }
}
