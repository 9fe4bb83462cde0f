import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { AREAS } from './mutants/guards.ts'
import { applied, editsOf } from './mutants/mutant.ts'
import { keyOf } from './mutants/results.ts'
import { transpiler } from './mutants/transpile.ts'

const project = join(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(project, file), 'utf8')
const mutants = AREAS.flatMap(({ mutants }) => mutants)

t.test('mutants', async t => {
  t.test('names are unique within an area', async t => {
    for (const { area, mutants } of AREAS) {
      t.equal(new Set(mutants.map(({ name }) => name)).size, mutants.length, area)
    }
  })

  t.test('the replaced text occurs exactly once in the source', async t => {
    for (const mutant of mutants) {
      const changed = new Map<string, string>()
      for (const edit of editsOf(mutant)) {
        try {
          changed.set(edit.file, applied(changed.get(edit.file) ?? read(edit.file), edit))
        } catch (error) {
          t.fail(`${mutant.name}: ${(error as Error).message}`)
        }
      }
      t.ok([...changed].every(([file, text]) => text !== read(file)))
    }
  })

  t.test('the listed tests exist', async t => {
    const files = new Set(mutants.flatMap(({ tests }) => tests))
    t.strictSame(
      [...files].filter(file => !existsSync(join(project, file))),
      [],
    )
    t.ok(mutants.every(({ tests }) => tests.length > 0))
  })

  t.test('a result is outdated when the mutant or its source changes', async t => {
    const [one, other] = mutants
    t.ok(one && other)
    if (!one || !other) return
    t.equal(keyOf(project, one), keyOf(project, { ...one, survives: 'whatever the reason' }))
    t.not(keyOf(project, one), keyOf(project, { ...one, replace: '/* other */' }))
    t.not(keyOf(project, one), keyOf(project, { ...one, tests: other.tests }))
    t.not(keyOf(project, one), keyOf(project, other))
  })
})

t.test('an edit is refused unless its text occurs exactly once', async t => {
  const edit = { file: 'a.ts', find: 'guard()', replace: '$&' }
  t.equal(applied('x\nguard()\ny', edit), 'x\n$&\ny')
  t.throws(() => applied('x', edit), /0 times in a.ts/)
  t.throws(() => applied('guard()\nguard()', edit), /2 times in a.ts/)
})

t.test('sources are transpiled as by tsc', async t => {
  const transpile = transpiler(project)
  const files = readdirSync(join(project, 'plugins')).map(name => join('plugins', name))
  const without = (text: string) => text.replace(/^\/\/# sourceMappingURL=.*$/m, '').trim()
  for (const file of files) {
    const compiled = read(join('dist', file.replace(/\.tsx?$/, '.js')))
    t.equal(without(transpile(read(file), join(project, file))), without(compiled), file)
  }
})
