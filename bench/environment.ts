/** What a tool may know of this machine; nothing of the user's settings, which would differ from one to the next. */
const KEPT = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'USER', 'TMPDIR', 'TZ']
/** rclone takes an empty name for none. */
const NO_CONFIG_FILE = { RCLONE_CONFIG: '' }

export function cleanEnv(more: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {}
  for (const name of KEPT) if (process.env[name] !== undefined) env[name] = process.env[name]
  return { ...env, ...NO_CONFIG_FILE, ...more }
}

/** The user's own, for the user's own bucket: credentials, proxies and the like, but no settings of the tools. */
export function userEnv(more: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {}
  for (const [name, value] of Object.entries(process.env)) {
    if (!/^(LONGSHORE|RCLONE|S3)_|^AWS_ENDPOINT_URL|^npm_/.test(name)) env[name] = value
  }
  return { ...env, ...NO_CONFIG_FILE, ...more }
}
