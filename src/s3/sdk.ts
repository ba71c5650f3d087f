import { createRequire } from 'node:module'
import type { S3Client as Client } from '@aws-sdk/client-s3'

/**
 * The SDK's classes, by require(): its package is CommonJS, and an import lexes all of it first to find its names,
 * which costs as much CPU (80 ms) as running it. Types are imported from the package itself.
 */
const sdk = createRequire(import.meta.url)('@aws-sdk/client-s3') as typeof import('@aws-sdk/client-s3')

export type S3Client = Client
export const {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} = sdk
