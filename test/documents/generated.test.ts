import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createProgram } from '#src/commands/program.ts'
import { commandsPage, decisionsPage, envExample, settingsPage } from '../../tools/documents.ts'

const project = join(import.meta.dirname, '../../..')
const read = (path: string) => readFileSync(join(project, path), 'utf8')

t.test('the pages of settings, commands and decisions, and .env.example, are up to date', async t => {
  t.equal(read('docs/settings.md'), settingsPage())
  t.equal(read('.env.example'), envExample())
  t.equal(read('docs/commands.md'), commandsPage(createProgram({} as never)))
  const decisions = readdirSync(join(project, 'docs/decisions'))
    .filter(name => /^\d{4}-/.test(name))
    .sort()
    .map(name => ({ name, text: read(`docs/decisions/${name}`) }))
  t.equal(read('docs/decisions/README.md'), decisionsPage(decisions))
})
