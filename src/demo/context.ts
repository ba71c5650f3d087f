import { join } from 'node:path'
import type { CommandContext } from '../commands/context.ts'
import type { DevServer } from '../devserver/types.ts'

/** Whatever the user's environment says: the loopback server, its credentials, and no file outside `folder`. */
export function contextFor(server: DevServer, folder: string, outer: CommandContext): CommandContext {
  const clean = Object.entries(outer.env).filter(
    ([name]) => !/^(AWS_|LONGSHORE_|S3_|SLURM_)|proxy$/i.test(name),
  )
  return {
    ...outer,
    s3: {
      noSignRequest: false,
      noVerifySsl: false,
      requestPayer: false,
      pathStyle: 'always',
      retries: outer.s3.retries,
      timeoutMs: outer.s3.timeoutMs,
      endpointUrl: server.url,
      region: 'us-east-1',
    },
    env: {
      ...Object.fromEntries(clean),
      AWS_ACCESS_KEY_ID: 'longshore',
      AWS_SECRET_ACCESS_KEY: 'longshore-secret',
      AWS_CONFIG_FILE: join(folder, 'none'),
      AWS_SHARED_CREDENTIALS_FILE: join(folder, 'none'),
      AWS_EC2_METADATA_DISABLED: 'true',
      // Scratch files of the commands go with the folder.
      TMPDIR: folder,
    },
  }
}
