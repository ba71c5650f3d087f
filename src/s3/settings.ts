/** How to reach S3, as flags, environment and config resolved it. Plain data: crosses to workers and tests. */
export interface S3Settings {
  endpointUrl?: string | undefined
  region?: string | undefined
  profile?: string | undefined
  /** Anonymous requests. */
  noSignRequest: boolean
  /** PEM file of the authorities to trust, instead of the public ones. */
  caBundle?: string | undefined
  noVerifySsl: boolean
  requestPayer: boolean
  expectedBucketOwner?: string | undefined
  sse?: 'AES256' | 'aws:kms' | 'aws:kms:dsse' | undefined
  sseKmsKeyId?: string | undefined
  storageClass?: string | undefined
  pathStyle: 'auto' | 'always' | 'never'
  /** Attempts after the first, for each request. */
  retries: number
  /** ms without an answer's head, or without a byte of its body, before a request is given up and retried. */
  timeoutMs: number
  /** 'sdk': nothing is asked without the SDK. Default 'wire' */
  lane?: 'wire' | 'sdk' | undefined
}

export const S3_DEFAULTS: S3Settings = {
  noSignRequest: false,
  noVerifySsl: false,
  requestPayer: false,
  pathStyle: 'auto',
  retries: 10,
  timeoutMs: 30_000,
}
