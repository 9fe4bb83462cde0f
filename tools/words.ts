/**
 * Checks the words of code, comments and documents: `make check` runs it. It fails with a line for each phrase that this
 * project replaced by a term of the field. ARCHITECTURE.md has the glossary.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { wordFaults } from './word-list.ts'

/** Texts that are not ours, or that quote what this check looks for. */
const EXEMPT = [
  /^LICENSE$/,
  /^openapi\//,
  /^package-lock\.json$/,
  /^(bench\/contenders|clients|clients\/nuxt)\/package-lock\.json$/,
  /^test\/fixtures\/laravel-.*\.json$/,
  /^src\/auth\/name-tables\.ts$/,
  // API messages are Laravel's, or part of our contract with clients.
  /^src\/responses\/messages\.ts$/,
  // Reserved names are words.
  /^src\/auth\/reserved-names\.ts$/,
  /^test\/auth\/accounts\.test\.ts$/,
  /^tools\/word-list\.ts$/,
  /^test\/tools\/word-list\.test\.ts$/,
]

const TEXT = /\.(ts|tsx|mjs|cjs|md|json|yml|yaml)$|(^|\/)(Makefile|run|\.env\.example)$/

const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  encoding: 'utf8',
})
  .split('\n')
  .filter(file => TEXT.test(file) && !EXEMPT.some(pattern => pattern.test(file)))

let count = 0
for (const file of files) {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    // Deleted and not committed yet.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue
    throw error
  }
  for (const { line, found, instead } of wordFaults(text)) {
    count += 1
    process.stderr.write(`${file}:${line}: "${found}": write ${instead}\n`)
  }
}
if (count > 0) process.exitCode = 1
