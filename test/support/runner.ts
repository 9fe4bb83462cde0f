/**
 * Runs the suite: brings up what the tests need, runs the test files in a few processes, and ends with a line that
 * counts the results. Arguments name the test files to run instead of all, such as `test/config/load.test.ts`.
 *
 * - TEST_JOBS: how many files run at the same time; one for each processor, two to four, unless set.
 * - TEST_TIMEOUT: how many seconds a file may take; 600 unless set. On a machine with much else to do, set more.
 * - TEST_REQUIRE_ALL: a service that cannot be found fails the run, instead of skipping its tests.
 */
import { readdirSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { dropDatabases, makePgliteImage, makeTemplate } from './databases.ts'
import { findChromium, startPostgres, startRedis } from './services.ts'
import { type FileResult, TestProcess } from './test-process.ts'

const project = join(import.meta.dirname, '../../..')

const jobs = wholeNumber('TEST_JOBS', Math.min(4, Math.max(2, availableParallelism())))
const limitS = wholeNumber('TEST_TIMEOUT', 600)

// The largest first, which take longest: none of them is to begin when all others are done.
const sizeOf = (file: string) => statSync(join(project, file)).size
const files =
  process.argv.length > 2
    ? process.argv.slice(2).map(name => join('dist', name.replace(/\.ts$/, '.js')))
    : readdirSync(join(project, 'dist/test'), { recursive: true, encoding: 'utf8' })
        .filter(name => name.endsWith('.test.js'))
        .map(name => join('dist/test', name))
        .sort((a, b) => sizeOf(b) - sizeOf(a))

const results = new Map<string, FileResult>()

const stopped = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort())

let isReported = false
// Before anything else is started, which would be left running.
const postgres = await startPostgres().catch(error => {
  report()
  process.stdout.write(`${error.message}\n`)
  process.exit(1)
})
const redis = await startRedis()
const scratch = await mkdtemp(join(tmpdir(), 'animethemes-auth-test-'))
const chromium = findChromium()
const skipped = [redis === null && 'Redis', chromium === null && 'Chromium'].filter(Boolean)
let exitCode = 1
// The database's own handler of signals ends the process.
process.once('exit', () => {
  if (!isReported) report()
})

try {
  if (skipped.length > 0 && process.env.TEST_REQUIRE_ALL) {
    throw new Error(`${skipped.join(' and ')} cannot be found, and TEST_REQUIRE_ALL is set.`)
  }
  const image = join(scratch, 'pglite.tar')
  // One after the other: PGlite keeps the process busy for seconds, in which no connection gets anywhere.
  await makeTemplate(postgres.url)
  await makePgliteImage(image)
  await runFiles({
    TEST_DATABASE_URL: postgres.url,
    TEST_PGLITE_IMAGE: image,
    TEST_REDIS_URL: redis?.url ?? '',
    TEST_CHROMIUM: chromium ?? '',
  })
  for (const name of skipped) {
    process.stdout.write(`\n*** SKIPPED: no ${name} was found, and the tests that need it did not run. ***\n`)
  }
  exitCode = report()
} catch (error) {
  process.stdout.write(`${error}\n`)
} finally {
  await dropDatabases(postgres.url).catch(() => {})
  await Promise.all([postgres.stop(), redis?.stop(), rm(scratch, { recursive: true, force: true })])
}
process.exit(exitCode)

/** Runs all files, some at a time, and shows a line for each and what failed. */
async function runFiles(environment: Record<string, string>): Promise<void> {
  const waiting = [...files]
  const start = () => new TestProcess({ cwd: project, environment, limitS, signal: stopped.signal })
  const work = async () => {
    let tests = start()
    for (let file = waiting.shift(); file !== undefined && !stopped.signal.aborted; file = waiting.shift()) {
      if (!tests.isUsable) tests = start()
      const result = await tests.run(file)
      results.set(file, result)
      const { fault, passed, seconds, details } = result
      const verdict = fault === null ? `ok ${passed}` : `NOT OK: ${fault}`
      process.stdout.write(`${file} ${verdict} (${seconds.toFixed(1)} s)\n`)
      if (details.length > 0) process.stdout.write(`${details.join('\n')}\n`)
    }
    await tests.end()
  }
  await Promise.all(Array.from({ length: jobs }, work))
}

/** Names the files that failed or did not run, counts everything, and returns the exit code. */
function report(): number {
  isReported = true
  let passed = 0
  let failed = 0
  for (const file of files) {
    const result = results.get(file)
    passed += result?.passed ?? 0
    failed += result?.failed ?? 1
    const fault = result === undefined ? 'did not run' : result.fault
    if (fault !== null) process.stdout.write(`\nFAILED ${file}: ${fault}`)
  }
  process.stdout.write(`\n${passed} passed, ${failed} failed\n`)
  return failed === 0 && passed > 0 ? 0 : 1
}

function wholeNumber(name: string, fallback: number): number {
  const text = process.env[name] || String(fallback)
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new Error(`${name}=${text}: expected a whole number from 1.`)
  return Number(text)
}
