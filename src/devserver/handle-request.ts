import type { IncomingMessage, ServerResponse } from 'node:http'
import { BUCKET_HANDLERS, checkOwner } from './bucket-operations.ts'
import type { Call, Reply } from './call.ts'
import { type Faults, NO_EFFECTS } from './effects.ts'
import { S3Failure, s3Failure } from './failure.ts'
import { MULTIPART_HANDLERS } from './multipart-operations.ts'
import { OBJECT_HANDLERS } from './object-operations.ts'
import { pause } from './pause.ts'
import { reset } from './reset.ts'
import { type Operation, type Route, route } from './route.ts'
import { sendReply, slices } from './send-reply.ts'
import type { Storage } from './storage.ts'
import type { LoggedRequest } from './types.ts'
import { type SignatureOptions, verifySignature } from './verify-signature.ts'
import { writeXml } from './write-xml.ts'

export interface Serving {
  storage: Storage
  faults: Faults
  signature: SignatureOptions
  domains: readonly string[]
  minPartSize: number
  log(request: LoggedRequest): void
}

const HANDLERS: Partial<Record<Operation, (call: Call) => Promise<Reply> | Reply>> = {
  ...BUCKET_HANDLERS,
  ...OBJECT_HANDLERS,
  ...MULTIPART_HANDLERS,
}
const NOWHERE: Route = { operation: 'Unknown', bucket: '', key: '', path: '/', query: new Map() }
const CHECKSUM_HEADER = /^x-amz-(?:checksum-(?!mode)|trailer$|sdk-checksum-)/

let requests = 0

/** Thrown where a fault has cut the connection: there is nobody to answer. */
const CUT = Symbol('cut')

/** One request from its head to the last byte of its answer. Never rejects. */
export async function handleRequest(
  request: IncomingMessage,
  response: ServerResponse,
  serving: Serving,
  waitsForContinue: boolean,
): Promise<void> {
  const method = request.method ?? 'GET'
  // Of the requests pipelined on it, each may watch it.
  request.socket.setMaxListeners(0)
  let to = NOWHERE
  let effects = NO_EFFECTS
  let call: Call | undefined
  let reply: Reply | undefined
  let continued = !waitsForContinue
  let bytesOut = 0
  requests++
  const requestId = requests.toString(16).toUpperCase().padStart(16, '0')
  const record = (status: number) =>
    serving.log({
      method,
      operation: to.operation,
      bucket: to.bucket,
      key: to.key,
      status,
      range: request.headers.range,
      userAgent: request.headers['user-agent'],
      bytesOut,
      bytesIn: call?.bytesIn ?? 0,
    })
  const body = async function* (): AsyncGenerator<Buffer> {
    if (!continued) response.writeContinue()
    continued = true
    let got = 0
    for await (const chunk of slices(
      request.iterator({ destroyOnReturn: false }),
      effects.bytesPerSecond,
      request.socket,
    )) {
      got += chunk.length
      if (effects.resetAfter !== undefined && got >= effects.resetAfter) throw CUT
      yield chunk
    }
  }
  try {
    try {
      to = route(
        method,
        request.url ?? '/',
        request.headers.host ?? '',
        serving.domains,
        'x-amz-copy-source' in request.headers,
      )
      effects = serving.faults.strike(method, to)
      if (effects.delayMs > 0) await pause(effects.delayMs, request.socket)
      if (effects.stallFirst) return record(0)
      if (effects.resetFirst) throw CUT
      if (effects.failure !== undefined) throw effects.failure
      const signed = verifySignature(
        { method, path: to.path, query: to.query, headers: request.headers },
        serving.signature,
      )
      call = {
        route: to,
        headers: request.headers,
        storage: serving.storage,
        minPartSize: serving.minPartSize,
        effects,
        signed,
        source: body,
        bytesIn: 0,
      }
      reply = await answer(call)
    } catch (error) {
      if (error === CUT || request.socket.destroyed) throw CUT
      reply = failureReply(error, to, requestId)
    }
    if (effects.lostAnswer) throw CUT
    if (!continued) reply.headers.connection = 'close'
    reply.headers['x-amz-request-id'] = requestId
    // The log is written before the answer goes out: who has the answer finds the request in it.
    bytesOut = reply.data ? (reply.body?.length ?? 0) : 0
    record(reply.status)
    await sendReply(response, reply, effects, method === 'HEAD')
  } catch (error) {
    if (error === CUT) record(0)
    reset(request.socket)
  } finally {
    if (reply?.body !== undefined && !Buffer.isBuffer(reply.body)) reply.body.release()
  }
}

async function answer(call: Call): Promise<Reply> {
  const { route: to, effects, headers } = call
  checkOwner(call)
  if (effects.noChecksums !== undefined) {
    const name = Object.keys(headers).find((header) => CHECKSUM_HEADER.test(header))
    if (name !== undefined)
      throw new S3Failure(
        'NotImplemented',
        'A header you provided implies functionality that is not implemented',
        {
          status: effects.noChecksums,
          details: { Header: name },
        },
      )
  }
  if (effects.errorIn200 !== undefined) {
    for await (const _ of call.source());
    const { code, message } = effects.errorIn200
    return {
      status: 200,
      headers: { 'content-type': 'application/xml' },
      body: writeXml('Error', { Code: code, Message: message, Resource: to.path }),
    }
  }
  const handler = HANDLERS[to.operation]
  if (handler === undefined)
    throw s3Failure(
      'NotImplemented',
      'A header or query you provided implies functionality that is not implemented',
    )
  return handler(call)
}

function failureReply(error: unknown, to: Route, requestId: string): Reply {
  const failure =
    error instanceof S3Failure
      ? error
      : new S3Failure('InternalError', error instanceof Error ? error.message : String(error))
  return {
    status: failure.status,
    headers: { 'content-type': 'application/xml', ...failure.headers },
    body: writeXml('Error', {
      Code: failure.code,
      Message: failure.message,
      ...failure.details,
      Resource: to.path,
      RequestId: requestId,
    }),
  }
}
