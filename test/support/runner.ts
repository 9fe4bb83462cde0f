/**
 * Runs the suite: brings up what the tests need, hands every test file to tap, and ends with a line that counts
 * the results. Arguments name the test files to run instead of all, such as `test/config.test.ts`.
 *
 * Set TEST_REQUIRE_ALL to have a service that cannot be found fail the run, instead of skipping its tests.
 */
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { makePgliteImage, makeTemplate } from './databases.ts'
import { findChromium, startPostgres, startRedis } from './services.ts'

const project = join(import.meta.dirname, '../../..')

const files =
  process.argv.length > 2
    ? process.argv.slice(2).map(name => join('dist', name.replace(/\.ts$/, '.js')))
    : readdirSync(join(project, 'dist/test'), { recursive: true, encoding: 'utf8' })
        .filter(name => name.endsWith('.test.js'))
        .sort()
        .map(name => join('dist/test', name))

const scratch = await mkdtemp(join(tmpdir(), 'animethemes-auth-test-'))
const [postgres, redis] = await Promise.all([startPostgres(), startRedis()])
const chromium = findChromium()
const skipped = [redis === null && 'Redis', chromium === null && 'Chromium'].filter(Boolean)
let exitCode = 1

try {
  if (skipped.length > 0 && process.env.TEST_REQUIRE_ALL) {
    throw new Error(`${skipped.join(' and ')} cannot be found, and TEST_REQUIRE_ALL is set.`)
  }
  const image = join(scratch, 'pglite.tar')
  // One after the other: PGlite keeps the process busy for seconds, in which no connection gets anywhere.
  await makeTemplate(postgres.url)
  await makePgliteImage(image)
  const { passed, failed, code } = await tap({
    TEST_DATABASE_URL: postgres.url,
    TEST_PGLITE_IMAGE: image,
    TEST_REDIS_URL: redis?.url ?? '',
    TEST_CHROMIUM: chromium ?? '',
  })
  exitCode = code
  for (const name of skipped) {
    process.stdout.write(`\n*** SKIPPED: no ${name} was found, and the tests that need it did not run. ***\n`)
  }
  // A file that crashed may have counted no failure: it is one all the same.
  process.stdout.write(`\n${passed} passed, ${code === 0 ? failed : Math.max(failed, 1)} failed\n`)
} catch (error) {
  process.stdout.write(`${error}\n\n0 passed, 1 failed\n`)
} finally {
  await Promise.all([postgres.stop(), redis?.stop(), rm(scratch, { recursive: true, force: true })])
}
process.exit(exitCode)

/** Runs tap over the files, shows a line for each and everything of those that failed, and reads its counts. */
async function tap(environment: Record<string, string>) {
  const child = spawn(
    process.execPath,
    [
      join(project, 'node_modules/tap/dist/esm/run.mjs'),
      ...[
        'run',
        '--reporter=tap',
        '--jobs=2',
        '--timeout=300',
        '--disable-coverage',
        '--allow-empty-coverage',
      ],
      ...files,
    ],
    {
      cwd: project,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const closed = new Promise<number>(resolve => child.once('close', status => resolve(status ?? 1)))
  let counts = ''
  let block: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    block.push(line)
    if (line.startsWith('# {')) counts = line
    if (!/^(not )?ok /.test(line)) continue
    process.stdout.write(line.startsWith('ok') ? `${line.replace(/ \{$/, '')}\n` : `${block.join('\n')}\n`)
    block = []
  }
  const count = (name: string) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(counts)?.[1] ?? 0)
  return { passed: count('pass'), failed: count('fail'), code: await closed }
}
