import { ownText } from './own-text.ts'

/**
 * True when a token or the first key of a page was seen before: such a listing has no end. Brent's way: the mark it
 * compares with moves on after 1, 2, 4 … pages, so nothing is held but one page's names.
 */
export function watchCircle(): (token: string | undefined, first: string | undefined) => boolean {
  let mark: { token: string | undefined; first: string | undefined } = { token: undefined, first: undefined }
  let steps = 0
  let reach = 1
  return (token, first) => {
    if (token !== undefined && token === mark.token) return true
    if (first !== undefined && first === mark.first) return true
    if (++steps >= reach) {
      mark = { token, first: first === undefined ? undefined : ownText(first) }
      steps = 0
      reach *= 2
    }
    return false
  }
}
