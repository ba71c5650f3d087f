import { LongshoreError } from '../errors.ts'
import { keyToPath, pathToKey } from '../fs/key-path.ts'

/**
 * Refuses names that can't be files of one folder tree: `a` beside `a/b`, and any two that would share a path.
 * Names are given in the order of their bytes; all that begin with `a` come together after it, so a stack of
 * the names the present one begins with is enough, and it is never deeper than a key is long.
 */
export function createConflictCheck(url: string): (name: string) => void {
  const above: string[] = []
  return (name) => {
    while (above.length > 0 && !name.startsWith(above.at(-1) ?? '')) above.pop()
    for (const other of above) {
      if (other === name) throw conflict(url, other, name, 'the listing has it twice')
      if (name[other.length] === '/')
        throw conflict(url, other, name, 'one is a file, the other needs a folder there')
    }
    const path = keyToPath(name)
    if (pathToKey(path) !== name) throw conflict(url, name, pathToKey(path), 'they would share a local path')
    above.push(name)
  }
}

function conflict(url: string, a: string, b: string, why: string): LongshoreError {
  const [first, second] = [JSON.stringify(a), JSON.stringify(b)]
  return new LongshoreError(
    'KEY_CONFLICT',
    `${url}: keys ${first} and ${second} can't both be local files: ${why}`,
    {
      path: url,
      hint: 'rename one of them, or give a SRC below that holds only one',
    },
  )
}
