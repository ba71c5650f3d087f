import { bucketOf, type Call } from './call.ts'
import { s3Failure } from './failure.ts'
import type { Upload } from './storage.ts'

/** The upload that a request names by id and key. */
export function openUpload(call: Call): Upload {
  const id = call.route.query.get('uploadId') ?? ''
  const upload = bucketOf(call).uploads.get(id)
  if (upload !== undefined && upload.key === call.route.key) return upload
  throw s3Failure(
    'NoSuchUpload',
    'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.',
    { UploadId: id },
  )
}
