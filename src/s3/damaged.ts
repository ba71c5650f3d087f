import { LongshoreError } from '../errors.ts'

/** An object's bytes failed the server's own checksum twice. */
export function damaged(path: string): LongshoreError {
  return new LongshoreError(
    'INTEGRITY',
    `${path}: the bytes do not have the checksum that the server keeps`,
    {
      path,
      hint: 'read it again later; if it stays, the object is damaged and has to be written anew',
    },
  )
}
