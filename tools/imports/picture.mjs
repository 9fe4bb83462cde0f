/**
 * Reads what dependency-cruiser found (JSON on standard input), and writes the page with the picture of the rooms: each arrow
 * says which room imports which, and arrows that follow from others are left out. `make rooms` runs it.
 */
import { text } from 'node:stream/consumers'

/** The room of a file; none for app.ts, main.ts and pipeline.ts, which put everything together. */
const roomOf = path => /^src\/([^/]+)\//.exec(path)?.[1] ?? /^(plugins|routes)\//.exec(path)?.[1]

const { modules } = JSON.parse(await text(process.stdin))
const imports = new Map()
for (const { source, dependencies } of modules) {
  const from = roomOf(source)
  if (from === undefined) continue
  if (!imports.has(from)) imports.set(from, new Set())
  for (const { resolved } of dependencies) {
    const to = roomOf(resolved)
    if (to !== undefined && to !== from) imports.get(from).add(to)
  }
}

/** Whether a room leads to another by more than one arrow. */
function isImplied(from, to) {
  const seen = new Set()
  const next = [...imports.get(from)].filter(room => room !== to)
  for (let room = next.pop(); room !== undefined; room = next.pop()) {
    if (room === to) return true
    if (seen.has(room)) continue
    seen.add(room)
    next.push(...(imports.get(room) ?? []))
  }
  return false
}

const arrows = [...imports]
  .flatMap(([from, rooms]) => [...rooms].filter(to => !isImplied(from, to)).map(to => `  ${from} --> ${to}`))
  .sort()

process.stdout.write(`# The rooms of the house

Made by \`make rooms\` from the imports of the code; \`make check\` says when it is old. An arrow says that files of a room import
files of another. What follows from other arrows is left out: \`routes\` import \`answers\` as well. What each room may import is
written down in [tools/imports/rules.mjs](../tools/imports/rules.mjs), and what it is for in [ARCHITECTURE.md](../ARCHITECTURE.md).

\`\`\`mermaid
flowchart TB
${arrows.join('\n')}
\`\`\`
`)
