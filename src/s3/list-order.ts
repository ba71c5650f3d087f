import { compareKeys, shared } from './list-borders.ts'
import { justBefore } from './list-divide.ts'
import type { Range } from './list-range.ts'
import type { RequestsOnTheirWay } from './list-requests.ts'

/**
 * One question tells whether a server lists by bytes; two do where all keys came from one folder.
 * False: there is no folder to ask about.
 */
export function askOrder(
  send: RequestsOnTheirWay['send'],
  { first, last }: Pick<Range, 'first' | 'last'>,
  options: { prefix: string; onAnswer: (byBytes: boolean) => void; giveUp: () => void },
): boolean {
  const { prefix, onAnswer, giveUp } = options
  const differs = last.indexOf('/', Math.max(prefix.length, shared(first, last)))
  const slash = differs === -1 ? last.indexOf('/', prefix.length) : differs
  if (slash === -1) return false
  const folder = last.slice(0, slash + 1)
  let [open, met] = [0, true]
  const ask = (startAfter: string, isMet: (key: string) => boolean): void => {
    open++
    send(
      { startAfter, maxKeys: 1 },
      ({ objects }) => {
        met &&= isMet(objects[0]?.key ?? '')
        if (--open === 0) onAnswer(met)
        return []
      },
      giveUp,
    )
  }
  // In a tree of folders this lies after that folder.
  ask(justBefore(folder), (key) => key.startsWith(folder))
  // Of a server that ignores StartAfter that was the listing's first key.
  if (first.startsWith(folder)) ask(first, (key) => compareKeys(key, first) > 0)
  return true
}
