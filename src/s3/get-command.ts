import type { GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3'
import { carryOptions } from './carried-options.ts'
import { GetObjectCommand } from './sdk.ts'
import type { SendOptions } from './send.ts'

type GetInput = ConstructorParameters<typeof GetObjectCommand>[0]
type GetHandler = ReturnType<InstanceType<typeof GetObjectCommand>['resolveMiddleware']>

/** Of each client, its middleware put together once: 20,000 small GETs spend a fifth of their time on that. */
const HANDLERS = new WeakMap<S3Client, GetHandler>()
/** The options of one GET, carried by its input: the handler that is kept knows no options of its own. */
const OPTIONS = Symbol('options of this GET')

/** `client.send(new GetObjectCommand(input), options)`, at the price of many. */
export async function sendGet(
  client: S3Client,
  input: GetInput,
  options: SendOptions,
): Promise<GetObjectCommandOutput> {
  const command = new GetObjectCommand(Object.assign({ ...input }, { [OPTIONS]: options }))
  let handler = HANDLERS.get(client)
  if (handler === undefined) {
    client.middlewareStack.add(
      (next) => (args) => {
        const own: unknown = Reflect.get(args.input, OPTIONS)
        if (own !== undefined && isObject(args.request)) carryOptions(args.request, own as SendOptions)
        return next(args)
      },
      { step: 'deserialize', priority: 'low', name: 'longshoreCarriedOptions', override: true },
    )
    handler = command.resolveMiddleware(client.middlewareStack, client.config, {})
    HANDLERS.set(client, handler)
  }
  const { output } = await handler(command)
  return output
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
