import { value } from './spec.ts'
import { oneOf, parseLimit } from './units.ts'

/** Where the cache is: for every command that reads or writes it. */
export const CACHE_SPECS = {
  cacheDir: value('--cache-dir <DIR>', 'folder of the cache', (text: string) => text, {
    unless: '$XDG_CACHE_HOME/longshore',
    shared: true,
  }),
  cacheMode: value(
    '--cache-mode <MODE>',
    'who may read it: private (0700), group (setgid) or shared (every local user)',
    oneOf(['private', 'group', 'shared']),
    { fallback: 'private', unless: 'private', shared: true },
  ),
}

/** How big it may get. */
export const LIMIT_SPECS = {
  maxSize: value('--max-size <LIMIT>', 'most that the cache may hold, such as 3TiB or 80%', parseLimit, {
    shared: true,
  }),
  minFree: value(
    '--min-free <LIMIT>',
    'least that stays free on its filesystem, such as 100GiB or 10%',
    parseLimit,
    {
      shared: true,
    },
  ),
}
