import { HandOver } from './types.ts'

/** The bytes that stand for themselves in the path of an S3 request (RFC 3986 unreserved, and the slash). */
const PLAIN = /^[A-Za-z0-9\-._~/]+$/

/**
 * A key as the path of its request has it, and as it is signed: once, everything but unreserved bytes and '/'. Dot
 * segments and double slashes stay: they are names in S3, not directions. A key without UTF-8 form is handed over.
 */
export function encodeKey(key: string): string {
  if (PLAIN.test(key)) return key
  if (key === '') throw new HandOver('no key')
  return encodeComponent(key).replaceAll('%2F', '/')
}

/** A value of the query. */
export function encodeComponent(text: string): string {
  try {
    return encodeURIComponent(text).replace(/[!'()*]/g, percent)
  } catch {
    throw new HandOver('a name that is no UTF-8')
  }
}

function percent(char: string): string {
  return `%${char.charCodeAt(0).toString(16).toUpperCase()}`
}
