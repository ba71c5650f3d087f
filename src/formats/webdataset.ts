import { TAR_MAX_MEMBER } from './tar/header.ts'

/**
 * WebDataset's key rule, `^((?:.*\/|)[^.]+)[.]([^/]*)$` in its tariterators.py: a name is cut at the first dot of
 * its last segment; what follows is the extension, lowercased. undefined: readers would skip it (no dot, nothing
 * after the dot) or misread it (a dotfile `a/._b.jpg` becomes the sample `a/`).
 */
export function splitSampleName(name: string): { key: string; ext: string } | undefined {
  const base = name.lastIndexOf('/') + 1
  const dot = name.indexOf('.', base)
  if (dot <= base || dot === name.length - 1) return undefined
  return { key: name.slice(0, dot), ext: name.slice(dot + 1).toLowerCase() }
}

/** Why a name can't be a member of a WebDataset tar. The texts are what a user reads. */
export const UNHOLDABLE = {
  control: 'its name holds a control character',
  unicode: 'its name is not Unicode text',
  path: 'its name holds an empty, "." or ".." segment',
  extension: 'no extension: WebDataset readers would skip it',
  meta: 'WebDataset readers skip names of the form __x__',
  reserved: 'its extension is reserved by WebDataset (__x__)',
  size: '8 GiB or more: a tar header has no room for its size',
} as const

export type Unholdable = keyof typeof UNHOLDABLE

/** undefined: the tar can hold it and WebDataset readers will find it. */
export function whyUnholdable(name: string, size: number): Unholdable | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) return 'control'
  // A lone surrogate has no UTF-8 form: what a tar would hold is another name.
  if (/\p{Surrogate}/u.test(name)) return 'unicode'
  // Extracting such a name writes elsewhere, or where another member is.
  if (/(?:^|\/)\.{0,2}(?:\/|$)/.test(name)) return 'path'
  // tariterators.py: re.match("__[^/]*__($|/)", fname).
  if (/^__[^/]*__(?:$|\/)/.test(name)) return 'meta'
  const split = splitSampleName(name)
  if (split === undefined) return 'extension'
  // `__key__` and `__url__` would overwrite the sample's own fields, so the reader raises.
  if (/^__.*__$/.test(split.ext)) return 'reserved'
  if (size > TAR_MAX_MEMBER) return 'size'
  return undefined
}
