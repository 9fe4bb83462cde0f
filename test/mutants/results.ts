import { hash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
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

/** Results that are kept in a file, by {@link keyOf}. */
export function resultStore(path: string) {
  const results = readResults(path)
  return {
    get: (key: string) => results.get(key),
    set(key: string, result: Result) {
      results.set(key, result)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, JSON.stringify(Object.fromEntries(results), null, 2))
    },
  }
}

function readResults(path: string): Map<string, Result> {
  try {
    return new Map(Object.entries(JSON.parse(readFileSync(path, 'utf8')) as Record<string, Result>))
  } catch {
    return new Map()
  }
}
