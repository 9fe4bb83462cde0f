import { hash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { editsOf, type Mutant } from './mutant.ts'

/**
 * The outcome of a mutant. `broken`: its tests ended without a failed assertion, or also fail without it.
 * `stale`: the source no longer has the replaced text.
 */
export type Outcome = 'killed' | 'survived' | 'timed out' | 'broken' | 'stale'

export interface Result {
  outcome: Outcome
  /** The failed assertion, or the error. */
  detail: string
}

/** The inputs of a result: the mutant, the changed sources and the test files. */
export function keyOf(project: string, mutant: Mutant): string {
  const edits = editsOf(mutant)
  const files = [...new Set([...edits.map(({ file }) => file), ...mutant.tests])]
  const contents = files.map(file => readFileSync(join(project, file), 'utf8'))
  return hash('sha256', JSON.stringify([edits, files, contents]))
}

/** The inputs of a test without mutants: all compiled files except the mutants. */
export function buildKey(folder: string): string {
  const dist = join(folder, 'dist')
  const files = readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter(
    name => name.endsWith('.js') && !name.startsWith(join('test', 'mutants')),
  )
  const contents = files.sort().map(name => [name, readFileSync(join(dist, name), 'utf8')])
  return hash('sha256', JSON.stringify(contents))
}

/** Values stored in a file by key. */
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
