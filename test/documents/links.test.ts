import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'

const project = join(import.meta.dirname, '../../..')

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
