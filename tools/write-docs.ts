/**
 * Writes the pages that are generated from the code: `make docs`. With `--check` it writes nothing, and fails with the names
 * of those that are outdated.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createProgram } from '#src/commands/program.ts'
import { commandsPage, decisionsPage, envExample, settingsPage } from './documents.ts'

const DECISIONS = 'docs/decisions'

const unused = (): never => {
  throw new Error('Generating documents runs no command.')
}
const commands = createProgram({
  environment: {},
  print: unused,
  warn: unused,
  readInput: unused,
  askSecretly: null,
  clock: unused,
  random: unused,
})
const decisions = readdirSync(DECISIONS)
  .filter(name => /^\d{4}-.*\.md$/.test(name))
  .sort()
  .map(name => ({ name, text: readFileSync(`${DECISIONS}/${name}`, 'utf8') }))

const pages = {
  'docs/settings.md': settingsPage(),
  'docs/commands.md': commandsPage(commands),
  [`${DECISIONS}/README.md`]: decisionsPage(decisions),
  '.env.example': envExample(),
}

const outdated = Object.entries(pages).filter(([path, text]) => read(path) !== text)
if (process.argv.includes('--check')) {
  for (const [path] of outdated) process.stderr.write(`${path} is outdated: run make docs\n`)
  process.exitCode = outdated.length > 0 ? 1 : 0
} else for (const [path, text] of outdated) writeFileSync(path, text)

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
