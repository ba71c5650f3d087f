// Bundles src/ and the packages it uses into dist/: a thousand small modules cost a command 200 ms of CPU before its
// first request, a few large ones 60. What is loaded late stays late: each import() is a file of its own.
import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
const { dependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))

/** What all of a build has in common. */
const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  // What an installation has beside us: native code, and what finds its own files by their place.
  external: Object.keys(dependencies),
  // The ES modules of a package: of CommonJS nothing could be left out.
  mainFields: ['module', 'main'],
  // Names of functions and classes stay: they are in stack traces and error reports.
  minifySyntax: true,
  // A fifth less for node to read at each start; source maps lead back to the lines.
  minifyWhitespace: true,
  legalComments: 'none',
  write: false,
  logLevel: 'warning',
}

const { outputFiles, metafile } = await build({
  ...common,
  entryPoints: {
    main: 'src/cli/main.ts',
    man: 'src/cli/man.ts',
    worker: 'src/transfer/worker.ts',
    devserver: 'src/devserver/main.ts',
  },
  // All in one folder: src/transfer/engine.ts looks for worker.js beside itself.
  outdir: 'dist',
  chunkNames: '[name]-[hash]',
  splitting: true,
  format: 'esm',
  // Packages in CommonJS ask for node's own modules by require().
  banner: {
    js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
  },
  sourcemap: 'linked',
  sourcesContent: false,
  metafile: true,
})
// Once more as scripts: of those, node can keep what it compiled, and of ES modules it can't. The SDK is one of its
// own, read when it is first needed: it is half of all the code, and most starts never come to it.
const sdkApart = {
  name: 'sdk-apart',
  setup({ onResolve }) {
    const apart = ({ kind }) => (kind === 'entry-point' ? undefined : { path: './sdk.cjs', external: true })
    onResolve({ filter: /^\.{1,2}\/sdk\.ts$/ }, apart)
    onResolve({ filter: /^@aws-sdk\/lib-storage$/ }, apart)
  },
}
const scripts = {
  ...common,
  outdir: 'dist',
  outExtension: { '.js': '.cjs' },
  format: 'cjs',
  // Of a script that node kept compiled, an import() has nobody to answer it.
  supported: { 'dynamic-import': false },
  define: { 'import.meta.url': 'importMetaUrl' },
  banner: {
    js: "(function (exports, require, module, __filename, __dirname) { const importMetaUrl = require('node:url').pathToFileURL(__filename).href;",
  },
  footer: { js: '})' },
}
const script = await build({
  ...scripts,
  entryPoints: { main: 'src/cli/main.ts', worker: 'src/transfer/worker.ts' },
  plugins: [sdkApart],
})
const sdk = await build({
  ...scripts,
  stdin: {
    contents: "export * from './src/s3/sdk.ts'\nexport { Upload } from '@aws-sdk/lib-storage'",
    resolveDir: root,
    sourcefile: 'sdk.ts',
    loader: 'ts',
  },
  outfile: 'dist/sdk.cjs',
  outdir: undefined,
  outExtension: undefined,
})

// An earlier build's files have other names. They go only now: a build that failed removes nothing.
await rm(dist, { recursive: true, force: true })
await mkdir(dist)
await Promise.all(
  [...outputFiles, ...script.outputFiles, ...sdk.outputFiles].map(({ path, contents }) =>
    writeFile(path, contents),
  ),
)
await writeFile(join(dist, 'THIRD-PARTY-NOTICES.txt'), await notices(Object.keys(metafile.inputs)))

try {
  await promisify(execFile)(process.execPath, [join(root, 'scripts/code-cache.mjs')], {
    // A flag of V8's own would make it of use to processes with that flag only.
    env: { ...process.env, NODE_OPTIONS: '' },
    timeout: 120_000,
  })
} catch (error) {
  process.stderr.write(`each start will compile anew: ${error.message}\n`)
}

/** The licences of the packages whose code is in the bundle; a text that several share is there once. */
async function notices(inputs) {
  const inPackage = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/
  const folders = new Set(inputs.flatMap((path) => inPackage.exec(path)?.[0] ?? []))
  const titles = new Map()
  for (const folder of [...folders].sort()) {
    const { name, version, license } = JSON.parse(await readFile(join(root, folder, 'package.json'), 'utf8'))
    const files = (await readdir(join(root, folder))).filter((file) =>
      /^(licen[cs]e|notice|copying)/i.test(file),
    )
    const texts = await Promise.all(files.sort().map((file) => readFile(join(root, folder, file), 'utf8')))
    // Some ship none of their own.
    const text =
      texts.join('\n').trim() || `Under ${license}, whose text is beside other packages in this file.`
    titles.set(text, [...(titles.get(text) ?? []), `${name} ${version} (${license})`])
  }
  const parts = [...titles].map(([text, names]) => `${names.join('\n')}\n\n${text}\n`)
  return `The files in this folder hold code of these packages:\n\n${parts.join(`\n${'-'.repeat(80)}\n`)}`
}
