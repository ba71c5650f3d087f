import { existsSync } from 'node:fs'
import { chmod, copyFile, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { readDataset, recordDataset } from '../cache/datasets.ts'
import { deleteTree } from '../cache/delete-tree.ts'
import { type HeldLease, leaseOwner } from '../cache/leases.ts'
import { datasetFolder, datasetId, journalFolder, stagingFolder, treeFolder } from '../cache/paths.ts'
import { listReady, withdrawReady, writeReady } from '../cache/ready.ts'
import { removeRecord } from '../cache/records.ts'
import { type Reservation, reserve } from '../cache/reserve.ts'
import { isLongshoreError } from '../errors.ts'
import { type FetchOptions, fetchFiles } from '../fetch/fetch-files.ts'
import { addTotals, type FetchTotals, noTotals } from '../fetch/totals.ts'
import { allOf } from '../fs/all-of.ts'
import type { Amount } from '../fs/amount.ts'
import { bootId } from '../fs/boot-id.ts'
import { renameDurable, syncFew, syncFilesystem, writeFileDurable } from '../fs/durable.ts'
import { makeFolder } from '../fs/make-folder.ts'
import type { Identified } from './job.ts'
import { holdOlder } from './older.ts'
import { selectShards } from './packed.ts'
import { publishTree } from './publish-tree.ts'
import { createReuse } from './reuse.ts'
import { type Need, nothingSelected, scanNeed, scanVersion } from './scan.ts'
import { ALL, selectionText } from './select.ts'
import type { Source } from './source.ts'
import { sweepWholes } from './sweep-wholes.ts'
import { clearTrust, distrustOtherBoots, dropTorn, markBoot } from './trust.ts'
import { hold, keep } from './use-ready.ts'
import { prefixVersion, type Version } from './version.ts'

/** Files that are synced one by one rather than with all of their filesystem. */
const FEW = 16

export interface FetchedVersion extends FetchTotals, Amount {
  lease?: HeldLease | undefined
}

export interface FetchVersionOptions extends Identified {
  onRange?: FetchOptions['onRange']
  /** How the cache's record names the source; default: its URL. */
  recordAs?: string | undefined
}

/**
 * Fetches what is missing of a version's selection and says READY. Under the dataset's lock: from here to the end
 * nobody else writes or evicts it. Nothing is written before the plan is whole and the space is promised.
 */
export async function fetchVersion(
  source: Source,
  listed: Version,
  job: FetchVersionOptions,
): Promise<FetchedVersion> {
  const owner = job.lease?.owner ?? leaseOwner(job.env)
  const beside = await holdOlder(job.cache, job.identity, owner)
  try {
    return await fetchBeside(beside, source, listed, job)
  } finally {
    await beside?.lease.release()
  }
}

async function fetchBeside(
  beside: Awaited<ReturnType<typeof holdOlder>>,
  source: Source,
  listed: Version,
  job: FetchVersionOptions,
): Promise<FetchedVersion> {
  const { cache, identity, signal, progress, selection } = job
  const id = datasetId(identity)
  const place = datasetFolder(cache, identity)
  const tree = treeFolder(cache, id)
  const journals = journalFolder(cache, id)
  const staging = stagingFolder(cache, id)
  const boot = await bootId()
  // Nobody has it yet: it is made as one tree, out of sight, and gets its place in one step. One that has its place
  // may be read: there each file comes by itself.
  const hidden = !existsSync(place)
  const resumed = hidden && existsSync(tree)
  const root = hidden ? tree : place
  // Removed by hand: nobody may believe READY once the folder is there again.
  if (hidden) await withdrawReady(cache, id)
  // The folder came by another way; what was begun beside it is nobody's any more.
  else await deleteTree(tree)
  const ready = (await listReady(cache, id)).map((r) => r.selection)
  await distrustOtherBoots(listed, { root, journals, boot, ready, signal })
  const older = beside?.older
  const places = { root, staging, journals, part: job.part, boot }
  const scan = await scanNeed(listed, { selection, older, places, signal })
  if (isNothing(listed, scan, job)) throw nothingSelected(source.url)
  warnUnevenShares(listed, job)
  const engine = await job.engine()
  engine.expect(scan.todo)
  const reservation = await promiseSpace(source, listed, { ...job, need: scan.todo }).catch(
    async (error: unknown) => {
      const full = isLongshoreError(error, 'OVER_LIMIT') || isLongshoreError(error, 'NO_SPACE')
      if (!beside || !job.makeRoom || !full) throw error
      // The version that would lend its files may be what stands in the way: without it all is fetched.
      await beside.lease.release()
      const { todo } = await scanVersion(listed, { selection, places, signal })
      return await promiseSpace(source, listed, { ...job, need: todo })
    },
  )
  let lease: HeldLease | undefined
  try {
    for (const folder of [journals, staging, root, dirname(place)]) await makeFolder(cache, folder)
    await sweepWholes(staging)
    const listing = { to: join(journals, 'listing'), url: source.url, mode: cache.modes.file }
    const version = await keepListing(listed, listing)
    await markBoot(journals, boot, cache.modes.file)
    progress.phase('fetch')
    progress.expect({ bytes: scan.all.bytes, objects: scan.all.files })
    const totals = noTotals()
    for (const stage of version.stages(selection)) {
      const reuse = createReuse(older, scan.kept.files > 0)
      const part = await fetchFiles(stage, {
        ...{ engine, store: source.store, prefix: source.prefix, url: source.url },
        ...{ ...places, hidden, modes: cache.modes, verify: job.verify, streams: job.streams },
        ...{ progress, signal },
        reuse: reuse.use,
        blocks: (entry) => version.blocks(entry, root),
        onRange: job.onRange,
        onWrote: (wrote) => reservation.wrote(wrote),
      }).finally(() => reuse.close())
      addTotals(totals, part)
    }
    await placeManifest(version, { ...job, root, staging, totals })
    progress.phase('verify')
    job.onMoved?.()
    // Of other selections: this one looked at its own files only.
    if (resumed && selectionText(selection) !== ALL) await dropTorn(version, tree, signal)
    const few = selectionText(selection) === ALL && scan.all.files <= FEW
    // The listing is with the journals: READY vouches for it too.
    await (few ? syncFew([root, journals], { signal }) : syncFilesystem(root, { signal }))
    // Nothing is in doubt any more. Later, a power cut would cost a folder that has its place the files in it.
    await clearTrust(journals)
    if (hidden) await publishTree(cache, tree, place)
    // Leased before READY: no evict can come between.
    lease = job.lease && (await hold(cache, id, job.lease))
    const { files, bytes } = scan.all
    await writeReady(cache, id, selectionText(selection), { files, bytes, checks: totals.checks })
    await allOf([keep(cache, id, job.lease), deleteTree(staging)])
    await reservation.commit({
      added: totals.fetched,
      linked: older && totals.linked.files > 0 ? [{ from: older.id, ...totals.linked }] : [],
    })
    return { ...totals, files, bytes, lease }
  } catch (error) {
    await lease?.giveBack()
    await sweepWholes(staging)
    throw error
  } finally {
    await reservation.release()
  }
}

/** A node's share may be empty where there are more nodes than files; a selection may not. */
function isNothing({ packed }: Version, scan: Need, { selection }: Identified): boolean {
  if (packed) return selectShards(packed.manifest, { ...selection, node: undefined }).length === 0
  return scan.all.files === 0 && !selection.node
}

async function promiseSpace(
  source: Source,
  version: Version,
  job: FetchVersionOptions & { need: Amount },
): Promise<Reservation> {
  const { cache, identity, need, maxSize, minFree, makeRoom, signal, progress } = job
  const id = datasetId(identity)
  const known = await readDataset(cache, id)
  await recordDataset(cache, { ...identity, source: job.recordAs ?? source.url, kind: version.kind })
  try {
    return await reserve(cache, {
      ...{ dataset: id, ...need, maxSize, minFree, makeRoom, signal },
      onEvicted: (evicted) => progress.item('evicted', evicted),
    })
  } catch (error) {
    // Refused: nothing of it is there, so nothing of it stays.
    if (!known) await removeRecord(cache, 'datasets', id)
    throw error
  }
}

/** The listing stays with the version: the next one links what has not changed, `--offline` and `cat` look in it. */
async function keepListing(
  listed: Version,
  { to, url, mode }: { to: string; url: string; mode: number },
): Promise<Version> {
  if (!listed.listing || listed.listing === to) return listed
  // As readable as the data: other users of a shared cache look in it too.
  await chmod(listed.listing, mode)
  await rename(listed.listing, to).catch(async () => {
    const temp = `${to}.new`
    await copyFile(listed.listing ?? '', temp)
    await rename(temp, to)
  })
  return prefixVersion(listed.digest, to, url)
}

async function placeManifest(
  version: Version,
  {
    cache,
    progress,
    root,
    staging,
    totals,
  }: Identified & { root: string; staging: string; totals: FetchTotals },
): Promise<void> {
  if (!version.manifest) return
  const { entry, bytes } = version.manifest
  // Not beside its place: what a kill leaves of it must not stay among the data.
  const staged = join(staging, 'manifest.whole')
  await writeFileDurable(staged, bytes, { mode: cache.modes.data })
  await renameDurable(staged, join(root, entry.path))
  totals.fetched.files++
  totals.fetched.bytes += bytes.length
  totals.checks.sha256 = (totals.checks.sha256 ?? 0) + 1
  progress.done({ bytes: bytes.length, objects: 1 })
}

function warnUnevenShares(version: Version, { selection, progress }: Identified): void {
  const world = selection.node?.world ?? 1
  if (!version.packed || world === 1) return
  const shards = selectShards(version.packed.manifest, { ...selection, node: undefined }).length
  if (shards % world === 0) return
  const least = Math.floor(shards / world)
  progress.warn(
    `${shards} shards on ${world} nodes: ${shards % world} of them have ${least + 1}, the others ${least}`,
  )
}
