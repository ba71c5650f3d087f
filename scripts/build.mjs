// Bundles src/ and the packages it uses into dist/: a thousand small modules cost a command 200 ms of CPU before its
// first request, a few large ones 60. What is loaded late stays late: each import() is a file of its own.
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
const { dependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))

const { outputFiles, metafile } = await build({
  absWorkingDir: root,
  entryPoints: {
    main: 'src/cli/main.ts',
    man: 'src/cli/man.ts',
    worker: 'src/transfer/worker.ts',
    devserver: 'src/devserver/main.ts',
  },
  // All in one folder: src/transfer/engine.ts looks for worker.js beside itself.
  outdir: 'dist',
  chunkNames: '[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  // What an installation has beside us: native code, and what finds its own files by their place.
  external: Object.keys(dependencies),
  // The ES modules of a package: of CommonJS nothing could be left out.
  mainFields: ['module', 'main'],
  // Packages in CommonJS ask for node's own modules by require().
  banner: {
    js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
  },
  // Names of functions and classes stay: they are in stack traces and error reports.
  minifySyntax: true,
  // A fifth less for node to read at each start; source maps lead back to the lines.
  minifyWhitespace: true,
  legalComments: 'none',
  sourcemap: 'linked',
  sourcesContent: false,
  metafile: true,
  write: false,
  logLevel: 'warning',
})

// An earlier build's files have other names. They go only now: a build that failed removes nothing.
await rm(dist, { recursive: true, force: true })
await mkdir(dist)
await Promise.all(outputFiles.map(({ path, contents }) => writeFile(path, contents)))
await writeFile(join(dist, 'THIRD-PARTY-NOTICES.txt'), await notices(Object.keys(metafile.inputs)))

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
