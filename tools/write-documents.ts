/** Writes the README's table of settings and .env.example anew: `make documents` runs it. */
import { readFileSync, writeFileSync } from 'node:fs'
import { envExample, settingsTable } from './documents.ts'

const TABLE = /\| variable \| default \| meaning \|\n(\|.*\n)+/

const readme = readFileSync('README.md', 'utf8')
if (!TABLE.test(readme)) throw new Error('README.md has no table of settings.')
writeFileSync(
  'README.md',
  readme.replace(TABLE, () => `${settingsTable()}\n`),
)
writeFileSync('.env.example', envExample())
