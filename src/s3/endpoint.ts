import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { LongshoreError } from '../errors.ts'
import type { S3Settings } from './settings.ts'

/**
 * The endpoint that is asked, or undefined for AWS's own: `--endpoint-url`, then AWS_ENDPOINT_URL_S3 and
 * AWS_ENDPOINT_URL, then the profile's `endpoint_url` (its `services` section first), as the SDK reference says.
 * Resolved here and not by the SDK: it names the store in the cache, and the SDK forgets a profile that was
 * chosen by flag. Throws BAD_CONFIG for one that is no http(s) URL.
 */
export async function resolveEndpoint(
  settings: S3Settings,
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  const found = settings.endpointUrl || (await configured(settings.profile, env))
  if (found === undefined) return undefined
  const url = URL.canParse(found) ? new URL(found) : undefined
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.hostname !== '') return found
  throw new LongshoreError('BAD_CONFIG', `${JSON.stringify(found)} is no endpoint`, {
    path: found,
    hint: 'write it with its scheme: https://host:port',
  })
}

async function configured(chosen: string | undefined, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  if (isTrue(env.AWS_IGNORE_CONFIGURED_ENDPOINT_URLS)) return undefined
  const fromEnv = env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL
  if (fromEnv) return fromEnv
  const home = env.HOME || homedir()
  const name = chosen ?? (env.AWS_PROFILE || 'default')
  const config = await readSections(env.AWS_CONFIG_FILE || join(home, '.aws', 'config'))
  const credentials = await readSections(env.AWS_SHARED_CREDENTIALS_FILE || join(home, '.aws', 'credentials'))
  const named = config.get(`profile ${name}`) ?? (name === 'default' ? config.get('default') : undefined)
  const profile = new Map([...(named ?? []), ...(credentials.get(name) ?? [])])
  if (isTrue(profile.get('ignore_configured_endpoint_urls'))) return undefined
  const services = config.get(`services ${profile.get('services')}`)
  return services?.get('s3.endpoint_url') || profile.get('endpoint_url') || undefined
}

/** Sections of an AWS ini file; a nested setting is under `outer.inner`. A file that can't be read has none. */
async function readSections(path: string): Promise<Map<string, Map<string, string>>> {
  const sections = new Map<string, Map<string, string>>()
  const text = await readFile(path, 'utf8').catch(() => '')
  let section: Map<string, string> | undefined
  let outer = ''
  for (const raw of text.split(/\r?\n/)) {
    const line = raw.replace(/(^|\s)[;#].*$/, '')
    const title = /^\s*\[\s*(.+?)\s*\]/.exec(line)?.[1]?.replaceAll(/\s+/g, ' ').replaceAll(/["']/g, '')
    if (title !== undefined) {
      section = sections.get(title) ?? new Map()
      sections.set(title, section)
      continue
    }
    const [, indent = '', name, value = ''] = /^(\s*)([^=\s]+)\s*=\s*(.*?)\s*$/.exec(line) ?? []
    if (name === undefined) continue
    if (indent === '') outer = name
    section?.set(indent === '' ? name : `${outer}.${name}`, value)
  }
  return sections
}

function isTrue(text: string | undefined): boolean {
  return text?.trim().toLowerCase() === 'true'
}
