import { parseArgs } from 'node:util'
import type { OwnBucket } from './own-bucket.ts'
import { ROWS } from './rows/index.ts'
import type { Scheme } from './types.ts'

export const HELP = `npm run bench [-- OPTIONS]

Measures longshore beside s5cmd and rclone on this machine, against a versitygw that it starts, or in a bucket of
yours; prints the results and writes bench/results.md. It installs what it needs into .interop/.

  --rows 1,4            these rows only (default: all)
${ROWS.map(({ id, title }) => `                          ${id}  ${title}`).join('\n')}
  --scheme http|https   one of them only (default: both, where a row has both)
  --runs N              measured runs of each tool (default: 3)
  --full                rows 6 and 7 with 500,000 objects
  --quick               a few objects, one run, no warm-up: shows that the bench works, measures nothing
  --dir DIR             where data and outputs live (default: /dev/shm if they fit, else the temporary folder)
  --results FILE        write the results there; with --quick they are written only then

  --bucket B[/PREFIX]   a bucket of yours instead: everything goes below a new folder in it, removed at the end
  --endpoint-url URL    its server (default: AWS)
  --ca-bundle FILE      PEM file of its certificate authority
`

export interface Options {
  help: boolean
  rows: number[]
  scheme?: Scheme | undefined
  runs: number
  quick: boolean
  full: boolean
  dir?: string | undefined
  results?: string | undefined
  own?: OwnBucket | undefined
}

/** Throws with one line for the user. */
export function parseOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      rows: { type: 'string' },
      scheme: { type: 'string' },
      runs: { type: 'string' },
      quick: { type: 'boolean', default: false },
      full: { type: 'boolean', default: false },
      dir: { type: 'string' },
      results: { type: 'string' },
      bucket: { type: 'string' },
      'endpoint-url': { type: 'string' },
      'ca-bundle': { type: 'string' },
    },
  })
  if (values.quick && values.full) throw new Error('--quick and --full: take one of them')
  if (values.quick && values.runs !== undefined) throw new Error('--quick measures one run: leave --runs out')
  const own = ownBucket(values.bucket, values['endpoint-url'], values['ca-bundle'])
  if (own !== undefined && values.scheme !== undefined) {
    throw new Error('--scheme is for the bench’s own server; the scheme of yours is in --endpoint-url')
  }
  return {
    help: values.help,
    rows: rowsOf(values.rows),
    scheme: schemeOf(values.scheme),
    runs: values.quick ? 1 : countOf(values.runs ?? '3'),
    quick: values.quick,
    full: values.full,
    dir: values.dir,
    results: values.results,
    own,
  }
}

function rowsOf(list: string | undefined): number[] {
  const all = ROWS.map((row) => row.id)
  if (list === undefined) return all
  const asked = list.split(',').map(Number)
  const unknown = asked.find((id) => !all.includes(id))
  if (unknown !== undefined) throw new Error(`--rows ${list}: the rows are ${all.join(', ')}`)
  return all.filter((id) => asked.includes(id))
}

function schemeOf(scheme: string | undefined): Scheme | undefined {
  if (scheme === undefined || scheme === 'http' || scheme === 'https') return scheme
  throw new Error(`--scheme ${scheme}: http or https`)
}

function countOf(runs: string): number {
  const count = Number(runs)
  if (Number.isInteger(count) && count >= 1 && count <= 100) return count
  throw new Error(`--runs ${runs}: a number from 1 to 100`)
}

function ownBucket(
  place: string | undefined,
  endpointUrl: string | undefined,
  caBundle: string | undefined,
): OwnBucket | undefined {
  if (place === undefined) {
    if (endpointUrl !== undefined || caBundle !== undefined) {
      throw new Error(
        '--endpoint-url and --ca-bundle need --bucket B[/PREFIX], a place that the bench may write to',
      )
    }
    return undefined
  }
  if (endpointUrl !== undefined && !/^https?:\/\/[^/]+\/?$/.test(endpointUrl)) {
    throw new Error(`--endpoint-url ${endpointUrl}: an address such as https://s3.example.com`)
  }
  const [bucket = '', ...folders] = place.replace(/^s3:\/\//, '').split('/')
  if (!/^[a-z0-9][a-z0-9._-]+$/i.test(bucket)) throw new Error(`--bucket ${place}: no name of a bucket`)
  const prefix = folders.filter((name) => name !== '').join('/')
  return {
    bucket,
    prefix: prefix === '' ? '' : `${prefix}/`,
    endpointUrl: endpointUrl?.replace(/\/$/, ''),
    caBundle,
  }
}
