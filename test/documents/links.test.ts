import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { createProgram } from '#src/commands/program.ts'
import { commandsTable, envExample, settingsTable } from '../tools/documents.ts'

const project = join(import.meta.dirname, '../..')

const pages = [
  ...readdirSync(project).filter(name => name.endsWith('.md')),
  ...readdirSync(join(project, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.md'))
    .map(name => join('docs', name)),
]

t.test('files and pages that documents name exist', async t => {
  t.ok(pages.includes('ARCHITECTURE.md') && pages.includes('docs/security.md'))
  for (const page of pages) {
    const text = readFileSync(join(project, page), 'utf8')
    const links = [...text.matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)].map(([, link = '']) =>
      join(dirname(page), link),
    )
    const named = [...text.matchAll(/`((?:src|plugins|routes|test|tools|bench)\/[\w./-]+)`/g)].map(
      ([, path = '']) => path,
    )
    const isThere = (path: string) => existsSync(join(project, path))
    // Tests are named without folder and extension: `routes/web/login` is test/routes/web/login.test.ts.
    const missing = [
      ...links.filter(path => !isThere(path)),
      ...named.filter(path => !isThere(path) && !isThere(`test/${path}.test.ts`)),
    ]
    t.strictSame(missing, [], page)
  }
})

t.test('README.md and .env.example list the settings and commands', async t => {
  const file = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8')
  const readme = file('README.md')
  t.ok(readme.includes(settingsTable()), `README.md has the table of settings:\n${settingsTable()}`)
  t.equal(file('.env.example'), envExample())
  const commands = commandsTable(
    createProgram({
      environment: {},
      print: () => {},
      warn: () => {},
      readInput: async () => '',
      askSecretly: null,
      clock: Date.now,
      random: size => Buffer.alloc(size),
    }),
  )
  t.ok(readme.includes(commands), `README.md has the table of commands:\n${commands}`)
})
