import { hash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { editsOf, type Mutant } from './mutant.ts'

/**
 * What became of a mutant. `broken`: its tests ended without an assertion that failed, or fail without it as well.
 * `stale`: the source no longer has what it replaces.
 */
export type Outcome = 'killed' | 'survived' | 'timed out' | 'broken' | 'stale'

export interface Result {
  outcome: Outcome
  /** The assertion that failed, or what went wrong. */
  detail: string
}

/** What a result depends on: the mutant, the sources that it changes, and its test files. */
export function keyOf(project: string, mutant: Mutant): string {
  const edits = editsOf(mutant)
  const files = [...new Set([...edits.map(({ file }) => file), ...mutant.tests])]
  const contents = files.map(file => readFileSync(join(project, file), 'utf8'))
  return hash('sha256', JSON.stringify([edits, files, contents]))
}

/** What the outcome of a test without any mutant depends on: all that is compiled, but for the mutants themselves. */
export function buildKey(folder: string): string {
  const dist = join(folder, 'dist')
  const files = readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter(
    name => name.endsWith('.js') && !name.startsWith(join('test', 'mutants')),
  )
  const contents = files.sort().map(name => [name, readFileSync(join(dist, name), 'utf8')])
  return hash('sha256', JSON.stringify(contents))
}

/** What is kept in a file, by keys. */
export function store<T>(path: string) {
  const read = (): Record<string, T> => {
    try {
      return JSON.parse(readFileSync(path, 'utf8')) as Record<string, T>
    } catch {
      return {}
    }
  }
  const kept = new Map(Object.entries(read()))
  return {
    get: (key: string) => kept.get(key),
    set(key: string, value: T) {
      kept.set(key, value)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, JSON.stringify(Object.fromEntries(kept), null, 2))
    },
  }
}
