import { createReadStream } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { LongshoreError } from '../errors.ts'
import { canonicalJson } from '../manifest/canonical.ts'
import { type Desk, readRecord, writeList, writeRecord } from './documents.ts'
import { eachOf } from './each-of.ts'
import { leftPath, slicePath } from './local-lines.ts'
import { currentSchema, headSchema, type PlanHead, planKeys } from './plan-schema.ts'

/** The plan that is frozen at DST, if one is. */
export async function findPlan(desk: Desk): Promise<PlanHead | undefined> {
  const keys = planKeys(desk.prefix)
  const current = await readRecord(desk, keys.current, currentSchema)
  if (current === undefined) return undefined
  const head = await readRecord(desk, keys.head(current.digest), headSchema)
  if (head?.digest === current.digest) return head
  const path = `${desk.store.url}/${keys.head(current.digest)}`
  throw new LongshoreError('BAD_MANIFEST', `the plan of this dataset is gone: ${path}`, {
    path,
    hint: 'pack into another prefix, or delete this one and its .longshore/ folder',
  })
}

/**
 * Publishes a plan from its files: slices, head, then the one conditional write that freezes it. When another task
 * was first its plan is returned, which may differ if SRC changed in between: nobody works on two listings.
 */
export async function freezePlan(desk: Desk, plan: PlanHead, dir: string): Promise<PlanHead> {
  const keys = planKeys(desk.prefix)
  await eachOf(plan.shards.keys(), 8, async (i) => {
    await writeList(desk, keys.slice(plan.digest, i), createReadStream(slicePath(dir, i)))
  })
  if (plan.left.file) await writeList(desk, keys.left(plan.digest), createReadStream(leftPath(dir)))
  await writeRecord(desk, keys.head(plan.digest), plan)
  const current = { format: 'longshore-plan-current', version: 1, digest: plan.digest }
  if ((await writeRecord(desk, keys.current, current, 'absent')) === 'written') return plan
  return (await findPlan(desk)) ?? plan
}

/** Waits for another task's plan. undefined: it did not come in time, so this task plans too. */
export async function awaitPlan(desk: Desk, waitMs: number): Promise<PlanHead | undefined> {
  const end = performance.now() + waitMs
  for (let pause = 500; ; pause = Math.min(pause * 1.5, 10_000)) {
    const plan = await findPlan(desk)
    const left = end - performance.now()
    if (plan !== undefined || left <= 0) return plan
    await sleep(Math.min(pause, left), undefined, { signal: desk.signal }).catch((error) => {
      desk.signal.throwIfAborted()
      throw error
    })
  }
}

/** DEST_HOLDS_OTHER unless the plan is of this source with these options. */
export function checkSamePlan(
  plan: { options: PlanHead['options']; source: { url: string } },
  wanted: { options: PlanHead['options']; sourceUrl: string; destination: string },
): void {
  const others = Object.keys({ ...plan.options, ...wanted.options }).filter((name) => {
    return canonicalJson(plan.options[name] ?? null) !== canonicalJson(wanted.options[name] ?? null)
  })
  const source = plan.source.url !== wanted.sourceUrl
  if (others.length === 0 && !source) return
  const what = source ? `of ${plan.source.url}` : `with another ${others.join(', ')}`
  throw holdsOther(wanted.destination, `a dataset ${what}`)
}

export function holdsOther(destination: string, what: string): LongshoreError {
  return new LongshoreError('DEST_HOLDS_OTHER', `${destination} holds ${what}`, {
    path: destination,
    hint: 'datasets are versioned by prefix: pack into a new one, such as …/v2/',
  })
}
