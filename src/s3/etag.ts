/** An ETag without its quotes: servers and documents give it with or without them. */
export function bareEtag(etag: string): string {
  return etag.replaceAll('"', '')
}
