import { BlockList, isIP } from 'node:net'
import { LongshoreError } from '../errors.ts'

/**
 * The proxy that the environment names for a URL, read as curl and Go read it: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY
 * in either case, minus NO_PROXY. This machine's own addresses are never proxied. A proxy URL that is none: BAD_CONFIG.
 */
export function proxyFor(target: URL, env: NodeJS.ProcessEnv): URL | undefined {
  const scheme = target.protocol === 'https:' ? 'https_proxy' : 'http_proxy'
  const text = read(env, scheme) ?? read(env, 'all_proxy')
  if (text === undefined || isLoopback(hostOf(target))) return undefined
  if (isExcluded(target, read(env, 'no_proxy') ?? '')) return undefined
  return parseProxy(text)
}

function read(env: NodeJS.ProcessEnv, name: string): string | undefined {
  return env[name] || env[name.toUpperCase()] || undefined
}

function parseProxy(text: string): URL {
  const full = text.includes('://') ? text : `http://${text}`
  if (URL.canParse(full)) {
    const url = new URL(full)
    if (/^https?:$/.test(url.protocol) && url.hostname !== '') return url
  }
  // The text itself stays out of the message: it may hold a password.
  throw new LongshoreError('BAD_CONFIG', 'the proxy in the environment is no http:// or https:// URL', {
    hint: 'correct HTTPS_PROXY or HTTP_PROXY, or name the endpoint in NO_PROXY',
  })
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '').toLowerCase()
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

function isExcluded(target: URL, list: string): boolean {
  const host = hostOf(target)
  const port = target.port || (target.protocol === 'https:' ? '443' : '80')
  return list
    .split(/[\s,]+/)
    .filter((rule) => rule !== '')
    .some((rule) => matches(rule.toLowerCase(), host, port))
}

function matches(rule: string, host: string, port: string): boolean {
  if (rule === '*') return true
  if (rule.includes('/')) return inSubnet(rule, host)
  const [, name = rule, wantedPort] = /^(.+?)(?::(\d+))?$/.exec(isIP(rule) === 6 ? `[${rule}]` : rule) ?? []
  if (wantedPort !== undefined && wantedPort !== port) return false
  const bare = name.replace(/^\[|\]$/g, '').replace(/^\*?\./, '')
  return host === bare || (isIP(host) === 0 && host.endsWith(`.${bare}`))
}

function inSubnet(rule: string, host: string): boolean {
  const [net = '', bits = ''] = rule.split('/')
  const family = isIP(net) === 6 ? 'ipv6' : 'ipv4'
  const size = Number(bits)
  if (isIP(net) === 0 || isIP(host) !== isIP(net) || !Number.isInteger(size)) return false
  if (size < 0 || size > (family === 'ipv6' ? 128 : 32)) return false
  const block = new BlockList()
  block.addSubnet(net, size, family)
  return block.check(host, family)
}
