import { CACHE_SPECS } from '../cache-specs.ts'
import { defineCommand } from '../command.ts'
import { counted } from '../format.ts'

export const releaseCommand = defineCommand({
  name: 'release',
  words: '<ID>',
  least: 1,
  most: 1,
  summary: 'end a lease or a pin',
  description:
    'Ends a lease or pin: ID is its own id, a lease owner, or the path of a dataset, as status shows them.',
  examples: [
    'longshore release slurm-4711',
    'longshore release /nvme/cache/aws/packed/imagenet/v1@0123456789ab',
  ],
  specs: { ...CACHE_SPECS },
  async run({ words, values, context }) {
    const { release } = await import('../../commands/release.ts')
    const report = await release({ ...values, id: words[0] ?? '' }, context)
    const leases = report.released.filter((one) => one.kind === 'lease').length
    const pins = report.released.length - leases
    return { exit: 0, lines: [`released ${counted(leases, 'lease')} and ${counted(pins, 'pin')}`], report }
  },
})
