import type { ListedObject } from './store.ts'

/**
 * The same text in memory of its own. A piece that V8 cuts out of a longer text keeps all of that alive: one key that
 * is held for a while holds its page, 300 KiB.
 */
export function ownText(text: string): string {
  // Not UTF-8, which has no form for half of a surrogate pair.
  return Buffer.from(text, 'utf16le').toString('utf16le')
}

/**
 * Keys and tags of a page in one text of their own, a quarter of the page's, which is gone with the next small
 * collection then: sixteen pages wait for their turn, long enough to become what only a large one finds.
 */
export function ownTexts(objects: readonly ListedObject[]): void {
  const texts: string[] = []
  for (const { key, etag } of objects) texts.push(key, etag)
  const all = texts.join('')
  let at = 0
  const next = (length: number): string => {
    at += length
    return all.slice(at - length, at)
  }
  let lastClass: string | undefined
  for (const object of objects) {
    object.key = next(object.key.length)
    object.etag = next(object.etag.length)
    if (object.storageClass === undefined) continue
    if (object.storageClass !== lastClass) lastClass = ownText(object.storageClass)
    object.storageClass = lastClass
  }
}
