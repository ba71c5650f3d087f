// Writes man/ from the command tree. Run after a build: npm run man
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { manPages } from '../dist/man.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const { version } = JSON.parse(await readFile(`${root}package.json`, 'utf8'))
const pages = manPages(version)
await mkdir(`${root}man`, { recursive: true })
for (const name of await readdir(`${root}man`)) {
  if (!pages.has(name)) await rm(`${root}man/${name}`)
}
for (const [name, text] of pages) await writeFile(`${root}man/${name}`, text)
process.stdout.write(`${pages.size} pages in man/\n`)
