import { flag, type Values, value } from './spec.ts'
import { oneOf, parseCount, parseRate, parseSize, wordOr } from './units.ts'

const text = (given: string): string => given

/** Options that every command knows, before or after its name. */
export const GLOBALS = {
  config: value('--config <FILE>', 'read this YAML file instead of the usual ones', text, {
    commandLineOnly: true,
  }),
  endpointUrl: value('--endpoint-url <URL>', 'S3 endpoint of a compatible store', text, {
    aws: [{ name: 'AWS_ENDPOINT_URL_S3' }, { name: 'AWS_ENDPOINT_URL' }, { name: 'S3_ENDPOINT_URL' }],
  }),
  region: value('--region <REGION>', 'region of the buckets', text, {
    aws: [{ name: 'AWS_REGION' }, { name: 'AWS_DEFAULT_REGION' }],
  }),
  profile: value('--profile <NAME>', 'profile of the AWS config files', text, {
    aws: [{ name: 'AWS_PROFILE' }],
  }),
  noSignRequest: flag('--no-sign-request', 'anonymous requests, for public buckets'),
  caBundle: value(
    '--ca-bundle <FILE>',
    'PEM file of the certificate authorities to trust, instead of the public ones',
    text,
    {
      aws: [{ name: 'AWS_CA_BUNDLE' }],
    },
  ),
  noVerifySsl: flag('--no-verify-ssl', 'accept any certificate (for tests only)'),
  requestPayer: flag('--request-payer', 'agree to pay for requester-pays buckets'),
  expectedBucketOwner: value(
    '--expected-bucket-owner <ID>',
    'fail when the bucket belongs to another account',
    text,
  ),
  sse: value(
    '--sse <KIND>',
    'encrypt objects: AES256, aws:kms or aws:kms:dsse',
    oneOf(['AES256', 'aws:kms', 'aws:kms:dsse']),
  ),
  sseKmsKeyId: value('--sse-kms-key-id <ID>', 'KMS key for --sse aws:kms', text),
  storageClass: value('--storage-class <CLASS>', 'storage class of what is written', text),
  pathStyle: value(
    '--path-style <WHEN>',
    'bucket in the path: auto, always or never',
    oneOf(['auto', 'always', 'never']),
    {
      fallback: 'auto',
      unless: 'auto',
    },
  ),
  concurrency: value(
    '--concurrency <N>',
    'requests in flight: a number or auto',
    wordOr('auto', (t) => parseCount(t, 1)),
    {
      fallback: 'auto',
      unless: 'auto',
    },
  ),
  workers: value(
    '--workers <N>',
    'threads that move the bytes: a number, 0 for none, or auto',
    wordOr('auto', (t) => parseCount(t, 0)),
    {
      fallback: 'auto',
      unless: 'auto',
    },
  ),
  partSize: value('--part-size <SIZE>', 'bytes of one ranged GET or uploaded part', parseSize),
  memory: value('--memory <SIZE>', 'budget for all buffers', parseSize, {
    fallback: 128 * 2 ** 20,
    unless: '128MiB',
  }),
  bwlimit: value('--bwlimit <RATE>', 'limit of the bandwidth, such as 100MiB/s', parseRate),
  retries: value('--retries <N>', 'attempts after the first, for each request', (t) => parseCount(t, 0), {
    fallback: 10,
    unless: '10',
    aws: [{ name: 'AWS_MAX_ATTEMPTS', convert: (t) => String(parseCount(t, 1) - 1) }],
  }),
  dryRun: flag('-n, --dry-run', 'say what would be done, with requests, bytes and disk; change nothing', {
    commandLineOnly: true,
  }),
  json: flag('--json', 'JSON lines on stdout, the last a summary or an error'),
  progress: value('--progress <KIND>', 'auto, bar, plain or none', oneOf(['auto', 'bar', 'plain', 'none']), {
    fallback: 'auto',
    unless: 'auto',
  }),
  quiet: flag('-q, --quiet', 'no progress; warnings and errors only'),
  verbose: flag('-v, --verbose', 'more about what happens'),
  logFormat: value('--log-format <FORMAT>', 'stderr as text or json', oneOf(['text', 'json']), {
    fallback: 'text',
    unless: 'text',
  }),
  noColor: flag('--no-color', 'no colours (also NO_COLOR)'),
}

export type GlobalValues = Values<typeof GLOBALS>
