import { after, before, describe, test } from 'node:test'
import { checksumTests } from './checksum-tests.ts'
import { conditionTests } from './condition-tests.ts'
import { listTests } from './list-tests.ts'
import { multipartTests } from './multipart-tests.ts'
import { objectTests } from './object-tests.ts'
import { signatureTests } from './signature-tests.ts'
import { type Context, newFolder, openContext, type Target } from './target.ts'

/** Behaviours that real servers are known to lack. A test that needs one is skipped with the reason given. */
export const QUIRKS = [
  'list-order', // listings are not in the order of the keys' bytes
  'backslash', // `\` becomes `/`
  'double-slash', // keys with `//` or a leading slash are rewritten or refused
  'dot-segments', // keys with `.` and `..` segments are rewritten or refused
  'key-and-folder', // `x` and `x/y` cannot both exist
  'folder-data', // an object `k/` cannot have bytes
  'long-keys', // 1,024 bytes are not taken, or 1,025 are
  'payload-hash', // x-amz-content-sha256 is not compared with the body
  'part-checksums', // ListParts gives no checksums
  'full-object', // FULL_OBJECT checksums of multipart uploads
  'composite', // COMPOSITE checksums of multipart uploads
  'crc64nvme',
  'content-encoding', // `aws-chunked` stays in Content-Encoding
  'uploads-paging', // ListMultipartUploads has no usable second page
  'uploads-prefix', // ListMultipartUploads finds exact keys only
  'start-after',
  'copy-conditions', // x-amz-copy-source-if-*
  'part-copy',
  'if-match-put', // If-Match on writes
  'conditional-complete',
  'signed-chunks', // STREAMING-AWS4-HMAC-SHA256-PAYLOAD and its trailer
  'chunk-signature', // a chunk's signature is not verified
  'unsigned-trailer', // STREAMING-UNSIGNED-PAYLOAD-TRAILER
  'clock-skew',
  'virtual-host',
  'part-order',
  'small-parts', // parts under 5 MiB are taken
  'metadata-case',
  'encoding-type',
  'range-beyond', // a range beyond the end is not 416
  'delete-batch',
  'complete-race', // of racing conditional Completes more than one may win
  'chunk-error', // a changed chunk is refused, but not as 403 SignatureDoesNotMatch
  'absent-if-match', // If-Match on a missing key answers 412
  'uploads-order', // open uploads are listed in no order
  'copy-none-match', // x-amz-copy-source-if-none-match answers 304, as for a GET
  'if-modified-since',
  'list-parts-marker', // NextPartNumberMarker also on the last page: a pager that follows it never ends
  'access-key-name', // an unknown access key is refused in other words
] as const
export type Quirk = (typeof QUIRKS)[number]

export interface ConformanceOptions {
  /** Name of the server, as it appears in the report. */
  name: string
  /** Starts the server, or connects to it. */
  open(): Promise<{ target: Target; close?: () => Promise<void> | void }>
  /** What it lacks, and since when that is known. */
  quirks?: Partial<Record<Quirk, string>>
  /** The whole suite is skipped, with this reason. */
  skip?: string | undefined
}

/** Registers one promise of the suite; skipped on servers with one of the quirks. */
export type Promised = (name: string, run: (context: Context) => Promise<void>, ...quirks: Quirk[]) => void

/** What longshore expects of an S3, asked with the AWS SDK and with requests of our own. */
export function conformance({ name, open, quirks = {}, skip }: ConformanceOptions): void {
  describe(`${name} as an S3`, { skip: skip ?? false }, () => {
    let opened: Awaited<ReturnType<typeof open>> | undefined
    let context: Awaited<ReturnType<typeof openContext>> | undefined
    before(async () => {
      opened = await open()
      context = await openContext(opened.target)
    })
    after(async () => {
      context?.close()
      await opened?.close?.()
    })
    const promised: Promised = (title, run, ...needed) => {
      const lacking = needed.find((quirk) => quirks[quirk] !== undefined)
      test(title, { skip: lacking === undefined ? false : `${lacking}: ${quirks[lacking]}` }, async () => {
        if (context === undefined) throw new Error('the server did not start')
        await run({ ...context, folder: newFolder(), lacks: (quirk) => quirks[quirk] !== undefined })
      })
    }
    for (const register of [
      objectTests,
      conditionTests,
      checksumTests,
      listTests,
      multipartTests,
      signatureTests,
    ])
      register(promised)
  })
}
