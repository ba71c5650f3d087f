import { CACHE_SPECS, LIMIT_SPECS } from '../cache-specs.ts'
import { defineCommand } from '../command.ts'

export const catCommand = defineCommand({
  name: 'cat',
  words: '<SRC>',
  least: 1,
  most: 1,
  writesBytes: true,
  summary: 'one object through the cache, to stdout',
  description:
    'Writes one object to stdout. It is fetched once per node, and only verified bytes are written.',
  examples: [
    'longshore cat s3://raw/imagenet/classes.txt',
    'longshore cat s3://packed/birds/v1/longshore.json | jq .splits',
  ],
  specs: { ...CACHE_SPECS, ...LIMIT_SPECS },
  async run({ words, values, context, output }) {
    const { cat } = await import('../../commands/cat.ts')
    await cat({ ...values, source: words[0] ?? '', output: output.bytes() }, context)
    return { exit: 0, lines: [] }
  },
})
