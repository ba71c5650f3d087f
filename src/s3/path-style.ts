import type { S3Settings } from './settings.ts'

/** Whether the bucket's name stands in the path of its requests, and not before the host's name. */
export function usesPathStyle(bucket: string, settings: S3Settings): boolean {
  if (settings.pathStyle !== 'auto') return settings.pathStyle === 'always'
  // A dot in the name breaks the wildcard certificate of virtual hosts.
  return settings.endpointUrl !== undefined || bucket.includes('.')
}
