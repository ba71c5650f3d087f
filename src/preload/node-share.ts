import { LongshoreError } from '../errors.ts'

/** Node `rank` of `world`, counted from 0. */
export interface NodeShare {
  rank: number
  world: number
}

type Env = Readonly<Record<string, string | undefined>>

/** Launchers that number nodes, in the order they are asked: a job inside another job means the inner one. */
const NODE_VARIABLES: readonly [rank: string, ...world: string[]][] = [
  ['LONGSHORE_NODE_RANK', 'LONGSHORE_NODES'],
  ['SLURM_NODEID', 'SLURM_NNODES', 'SLURM_JOB_NUM_NODES'],
  ['GROUP_RANK', 'GROUP_WORLD_SIZE'],
  ['PET_NODE_RANK', 'PET_NNODES'],
  ['NODE_RANK', 'NNODES', 'NUM_NODES'],
  ['AWS_BATCH_JOB_NODE_INDEX', 'AWS_BATCH_JOB_NUM_NODES'],
  ['JOB_COMPLETION_INDEX', 'JOB_COMPLETIONS'],
]

/**
 * This node's share as the launcher's environment tells it (Slurm, torchrun, Kubeflow, AWS Batch, indexed
 * Kubernetes Jobs, Open MPI); undefined where no launcher speaks. A rank without a world, or a rank outside it, is
 * USAGE: guessing would leave part of the data on no node.
 */
export function nodeFromEnv(env: Env): NodeShare | undefined {
  for (const [rankName, ...worldNames] of NODE_VARIABLES) {
    const rank = env[rankName]
    if (rank === undefined || rank === '') continue
    const worldName = worldNames.find((name) => env[name] !== undefined && env[name] !== '')
    if (worldName === undefined) {
      // NODE_RANK alone is set by many images; the others mean it.
      if (rankName === 'NODE_RANK') continue
      throw new LongshoreError('USAGE', `--node auto: ${rankName} is set but ${worldNames[0]} is not`, {
        hint: `set ${worldNames[0]} to the number of nodes, or give --node R/W`,
      })
    }
    return checked(rank, env[worldName] ?? '', rankName, worldName)
  }
  return fromOpenMpi(env)
}

/** Open MPI numbers processes, not nodes: with the same number on each node, consecutive ranks share one. */
function fromOpenMpi(env: Env): NodeShare | undefined {
  const rank = env.OMPI_COMM_WORLD_RANK
  const size = env.OMPI_COMM_WORLD_SIZE
  const local = env.OMPI_COMM_WORLD_LOCAL_SIZE
  if (!rank || !size || !local) return undefined
  const share = checked(rank, size, 'OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE')
  const perNode = Number(local)
  if (!Number.isInteger(perNode) || perNode < 1 || share.world % perNode !== 0) {
    throw new LongshoreError(
      'USAGE',
      `--node auto: ${size} processes at ${local} a node are no whole number of nodes`,
      {
        hint: 'give --node R/W',
      },
    )
  }
  return { rank: Math.floor(share.rank / perNode), world: share.world / perNode }
}

function checked(rankText: string, worldText: string, rankName: string, worldName: string): NodeShare {
  const rank = /^\d{1,7}$/.test(rankText) ? Number(rankText) : Number.NaN
  const world = /^\d{1,7}$/.test(worldText) ? Number(worldText) : Number.NaN
  if (!(world >= 1 && rank < world)) {
    throw new LongshoreError(
      'USAGE',
      `--node auto: ${rankName}=${rankText} of ${worldName}=${worldText} is no share`,
      {
        hint: 'give --node R/W, R counted from 0',
      },
    )
  }
  return { rank, world }
}
