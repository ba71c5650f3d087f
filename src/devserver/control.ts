import type { IncomingMessage, ServerResponse } from 'node:http'
import * as z from 'zod'
import type { Faults } from './effects.ts'
import { OPERATIONS } from './route.ts'
import type { RequestLog } from './types.ts'

const count = z.int().min(0)
const operation = z.enum(OPERATIONS)
const ruleSchema = z.strictObject({
  match: z
    .strictObject({
      method: z.string().optional(),
      operation: z.union([operation, z.array(operation)]).optional(),
      bucket: z.string().optional(),
      /** A pattern travels as {"regexp": "…"}. */
      key: z
        .union([z.string(), z.strictObject({ regexp: z.string() }).transform((p) => new RegExp(p.regexp))])
        .optional(),
      skip: count.optional(),
      every: z.int().min(1).optional(),
      first: count.optional(),
      probability: z.number().min(0).max(1).optional(),
      seed: z.int().optional(),
    })
    .optional(),
  do: z.union([z.lazy(() => actionSchema), z.array(z.lazy(() => actionSchema))]),
  inTurn: z.boolean().optional(),
})
const actionSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('status'),
    status: z.int().min(400).max(599),
    code: z.string().optional(),
    message: z.string().optional(),
    retryAfter: count.optional(),
  }),
  z.strictObject({ kind: z.literal('delay'), ms: count }),
  z.strictObject({ kind: z.literal('stall'), afterBytes: count.optional() }),
  z.strictObject({ kind: z.literal('reset'), afterBytes: count.optional() }),
  z.strictObject({ kind: z.literal('short-body'), bytes: count, honest: z.boolean().optional() }),
  z.strictObject({ kind: z.literal('flip-byte'), at: count.optional() }),
  z.strictObject({ kind: z.literal('lost-answer') }),
  z.strictObject({
    kind: z.literal('error-in-200'),
    code: z.string().optional(),
    message: z.string().optional(),
  }),
  z.strictObject({ kind: z.literal('unsorted') }),
  z.strictObject({ kind: z.literal('expired-token') }),
  z.strictObject({ kind: z.literal('throttle'), bytesPerSecond: z.number().positive() }),
  z.strictObject({ kind: z.literal('ignore-conditions') }),
  z.strictObject({ kind: z.literal('no-checksums'), status: z.int().min(400).max(599).optional() }),
  z.strictObject({ kind: z.literal('cut-head'), bytes: count }),
  z.strictObject({ kind: z.literal('slow-head'), bytes: count, ms: count }),
  z.strictObject({ kind: z.literal('header'), name: z.string().min(1), value: z.string().optional() }),
  z.strictObject({ kind: z.literal('extra-bytes'), bytes: count }),
  z.strictObject({ kind: z.literal('chunked') }),
  z.strictObject({ kind: z.literal('interim'), status: z.literal([100, 102]).optional() }),
  z.strictObject({
    kind: z.literal('redirect'),
    status: z.literal([301, 302, 307, 308]).optional(),
    location: z.string().optional(),
    region: z.string().optional(),
  }),
])

const MAX_BODY = 1024 * 1024

/**
 * For servers in a process of their own; unsigned, since the server listens on loopback only.
 * `POST /-/faults` adds one rule or a list, `DELETE /-/faults` takes all away; `GET /-/requests` answers
 * `{counts, requests}`, `DELETE /-/requests` forgets them.
 */
export async function control(
  request: IncomingMessage,
  response: ServerResponse,
  { faults, requests }: { faults: Faults; requests: RequestLog },
): Promise<void> {
  const answer = (status: number, content: unknown) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(content))
  }
  try {
    const asked = `${request.method} ${request.url}`
    if (asked === 'GET /-/requests')
      return answer(200, { counts: requests.counts(), requests: requests.all() })
    if (asked === 'DELETE /-/requests') requests.clear()
    else if (asked === 'DELETE /-/faults') faults.clear()
    else if (asked === 'POST /-/faults') {
      const rules = z
        .union([ruleSchema.transform((rule) => [rule]), z.array(ruleSchema)])
        .parse(await readJson(request))
      for (const rule of rules) faults.add(rule)
    } else return answer(404, { error: `${asked} is not known here` })
    answer(200, {})
  } catch (error) {
    answer(400, { error: error instanceof Error ? error.message : String(error) })
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > MAX_BODY) throw new Error('too long')
    chunks.push(chunk)
  }
  return JSON.parse(Buffer.concat(chunks).toString())
}
