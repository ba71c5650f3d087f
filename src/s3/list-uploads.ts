import { watchCircle } from './circle.ts'
import { commonInput } from './input.ts'
import { odd } from './s3-upload.ts'
import { ListMultipartUploadsCommand } from './sdk.ts'
import type { Session } from './send.ts'
import type { CallOptions, OpenUpload } from './store.ts'

/** Uploads that were begun below `prefix` and neither completed nor aborted. */
export async function* listS3Uploads(
  session: Session,
  prefix: string,
  options: CallOptions = {},
): AsyncGenerator<OpenUpload, void, undefined> {
  let from: { KeyMarker?: string; UploadIdMarker?: string } | undefined
  const circle = watchCircle()
  do {
    const page = await session.send({ ...options, kind: 'LISTUPLOADS', key: prefix }, (client, send) =>
      client.send(
        new ListMultipartUploadsCommand({ ...commonInput(session), Prefix: prefix, ...from }),
        send,
      ),
    )
    const ids: string[] = []
    const ours: OpenUpload[] = []
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (!Key || !UploadId) throw odd(session, prefix, 'an open upload without key or id')
      ids.push(`${Key}\n${UploadId}`)
      if (Key.startsWith(prefix))
        ours.push({ key: Key, uploadId: UploadId, initiated: Initiated?.getTime() ?? 0 })
    }
    const { NextKeyMarker, NextUploadIdMarker } = page
    // What ends early would be taken for the whole: an upload of ours would stay open.
    if (page.IsTruncated && !NextKeyMarker)
      throw odd(session, prefix, 'the list of open uploads has no way to its next page')
    const next = page.IsTruncated ? `${NextKeyMarker}\n${NextUploadIdMarker ?? ''}` : undefined
    if (circle(next, ids[0]))
      throw odd(session, prefix, 'the pages of its list of open uploads come again and again')
    yield* ours
    if (!page.IsTruncated) return
    from = { KeyMarker: NextKeyMarker, ...(NextUploadIdMarker ? { UploadIdMarker: NextUploadIdMarker } : {}) }
  } while (from !== undefined)
}
