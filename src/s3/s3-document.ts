import { damaged } from './damaged.ts'
import type { Failure } from './failure.ts'
import { commonInput } from './input.ts'
import type { LightAnswer } from './light.ts'
import type { Sink } from './receive.ts'
import type { Session } from './send.ts'
import type { CallOptions, Document } from './store.ts'
import { checksumsOf, verifyBytes } from './verify.ts'

/** A whole small object; undefined: there is none. Bytes that fail the server's checksum are asked for once more. */
export async function getS3Document(
  session: Session,
  key: string,
  options: CallOptions & { maxBytes: number },
): Promise<Document | undefined> {
  const { maxBytes, ...call } = options
  for (let again = false; ; again = true) {
    let final: Failure | undefined
    const onFinal = (failure: Failure) => {
      final = failure
    }
    const sink: Sink = { maxBytes }
    const question = { kind: 'object', key, checksum: !session.learned.noChecksums } as const
    try {
      const got = await session.send<LightAnswer>(
        { ...call, kind: 'GET', key, onFinal },
        async (client, send) => {
          const { sendGet } = await import('./get-command.ts')
          const { ETag = '', ...sums } = await sendGet(client, { ...commonInput(session), Key: key }, send)
          return { found: true, etag: ETag, sums }
        },
        { sink, light: { question, read: (answer) => answer } },
      )
      if (!got.found) return undefined
      const bytes = sink.bytes ?? Buffer.alloc(0)
      if (verifyBytes(bytes, checksumsOf(got.sums)) !== undefined) return { bytes, etag: got.etag }
    } catch (error) {
      if (final?.status === 404 && final.code !== 'NoSuchBucket') return undefined
      throw error
    }
    if (again) throw damaged(`${session.url}/${key}`)
    options.onRetry?.({ reason: 'GET: the checksum does not match', slowDown: false })
  }
}
