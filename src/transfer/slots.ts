import type { Climb } from './climb.ts'

/** One request; it never rejects, and says how many bytes it moved. */
export type Request = () => Promise<number>

/**
 * Requests in flight, as many as the climb allows. Uploads go first, since they free buffers; then downloads,
 * transfer by transfer in the order they came, so that the oldest part is full first.
 */
export interface Slots {
  readonly active: number
  upload(request: Request): void
  /** A queue of requests that is asked for its next one only when a slot is free; undefined: it is empty. */
  download(next: () => Request | undefined): void
}

export function openSlots(climb: Climb): Slots {
  const uploads: Request[] = []
  const downloads: (() => Request | undefined)[] = []
  let active = 0
  const nextRequest = (): Request | undefined => {
    const upload = uploads.shift()
    if (upload !== undefined) return upload
    for (let source = downloads[0]; source !== undefined; source = downloads[0]) {
      const request = source()
      if (request !== undefined) return request
      downloads.shift()
    }
    return undefined
  }
  const pump = () => {
    while (active < climb.limit) {
      const request = nextRequest()
      if (request === undefined) return
      active++
      request().then((bytes) => {
        active--
        climb.done(bytes, uploads.length + downloads.length > 0)
        pump()
      })
    }
  }
  return {
    get active() {
      return active
    },
    upload(request) {
      uploads.push(request)
      pump()
    },
    download(next) {
      downloads.push(next)
      pump()
    },
  }
}
