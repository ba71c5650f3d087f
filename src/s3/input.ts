import type { RequestPayer, ServerSideEncryption, StorageClass } from '@aws-sdk/client-s3'
import type { Session } from './send.ts'

interface CommonInput {
  Bucket: string
  RequestPayer?: RequestPayer
  ExpectedBucketOwner?: string
}

interface WriteInput extends CommonInput {
  ServerSideEncryption?: ServerSideEncryption
  SSEKMSKeyId?: string
  StorageClass?: StorageClass
}

/** What every request of a store carries. */
export function commonInput(session: Session): CommonInput {
  const { requestPayer, expectedBucketOwner } = session.settings
  return {
    Bucket: session.bucket,
    ...(requestPayer ? { RequestPayer: 'requester' } : {}),
    ...(expectedBucketOwner === undefined ? {} : { ExpectedBucketOwner: expectedBucketOwner }),
  }
}

/** What every request carries that makes an object. */
export function writeInput(session: Session): WriteInput {
  const { sse, sseKmsKeyId, storageClass } = session.settings
  return {
    ...commonInput(session),
    ...(sse === undefined ? {} : { ServerSideEncryption: sse }),
    ...(sseKmsKeyId === undefined ? {} : { SSEKMSKeyId: sseKmsKeyId }),
    // The server knows which classes it has; the SDK's list is only AWS's.
    ...(storageClass === undefined ? {} : { StorageClass: storageClass as StorageClass }),
  }
}
