import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** What a test gives: `after` of its context. */
export interface Cleanup {
  after(remove: () => void | Promise<void>): void
}

/** A fresh empty folder (no symlink in its path), removed after the test whatever it left there. */
export function tempDir(t: Cleanup): string {
  const dir = realpathSync(mkdtempSync(path.join(tmpdir(), 'longshore-test-')))
  t.after(() => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }))
  return dir
}
