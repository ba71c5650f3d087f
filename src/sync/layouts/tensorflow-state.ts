/**
 * TensorFlow's `checkpoint` file: CheckpointState in protobuf text format
 * (tensorflow/python/training/checkpoint_state.proto). Only its two path fields matter here.
 */
export interface CheckpointPaths {
  newest: string
  /** Oldest first, each once; the newest is the last. */
  all: string[]
}

/** undefined: not such a file. */
export function checkpointPaths(bytes: Uint8Array): CheckpointPaths | undefined {
  const text = Buffer.from(bytes).toString('utf8')
  let newest: string | undefined
  const all = new Set<string>()
  for (const line of text.split('\n')) {
    const found = /^\s*(model_checkpoint_path|all_model_checkpoint_paths)\s*:\s*"((?:[^"\\]|\\.)*)"\s*$/.exec(
      line,
    )
    if (found === null) continue
    const path = unescapeText(found[2] ?? '')
    if (path === '' || path.includes('\0')) continue
    if (found[1] === 'model_checkpoint_path') newest = path
    else all.add(path)
  }
  if (newest === undefined) return undefined
  all.delete(newest)
  return { newest, all: [...all, newest] }
}

/** What TensorFlow writes after it saved `name` and nothing else is kept. */
export function encodeCheckpointState(name: string): Buffer {
  const quoted = escapeText(name)
  return Buffer.from(`model_checkpoint_path: "${quoted}"\nall_model_checkpoint_paths: "${quoted}"\n`)
}

const ESCAPES: Record<string, string> = { n: '\n', r: '\r', t: '\t', '"': '"', "'": "'", '\\': '\\' }

/** Bytes beyond ASCII are written as octal escapes of their UTF-8. */
function unescapeText(text: string): string {
  const parts: Buffer[] = []
  for (const [token] of text.matchAll(/\\[0-7]{1,3}|\\x[0-9a-fA-F]{1,2}|\\.|[^\\]+/gs)) {
    if (/^\\[0-7]/.test(token)) parts.push(Buffer.from([Number.parseInt(token.slice(1), 8) & 255]))
    else if (/^\\x./.test(token)) parts.push(Buffer.from([Number.parseInt(token.slice(2), 16)]))
    else if (token.startsWith('\\')) parts.push(Buffer.from(ESCAPES[token.slice(1)] ?? token.slice(1)))
    else parts.push(Buffer.from(token))
  }
  return Buffer.concat(parts).toString('utf8')
}

function escapeText(text: string): string {
  let out = ''
  for (const byte of Buffer.from(text)) {
    const char = String.fromCharCode(byte)
    if (char === '"' || char === '\\') out += `\\${char}`
    else if (byte < 32 || byte > 126) out += `\\${byte.toString(8).padStart(3, '0')}`
    else out += char
  }
  return out
}
