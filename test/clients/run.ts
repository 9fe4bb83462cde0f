/**
 * `make test-clients`: runs other people's clients, unmodified, against servers on a PostgreSQL: Guzzle and requests, and
 * a Nuxt application with nuxt-auth-sanctum in a browser. What this machine lacks is skipped, and fails with
 * TEST_REQUIRE_ALL.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import pg from 'pg'
import { ownFolder } from '../chaos/owned.ts'
import { Instance, MAIN, minimal } from '../chaos/server.ts'
import { launchChromium } from '../support/chromium.ts'
import { findChromium, freePort, startPostgres } from '../support/services.ts'
import { buildNuxt, checkNuxt, type Mode, startNuxt } from './nuxt.ts'
import { findRuntime, GUZZLE, REQUESTS, type Runtime, runProgram } from './programs.ts'
import { check, report, skip } from './results.ts'

const MODES: readonly Mode[] = ['cookie', 'proxy', 'token']
const PASSWORD = 'seven lilac tractors hum'

const { path: folder } = ownFolder('clients')
const postgres = await startPostgres()
const database = new pg.Client(postgres.url)
const settings = {
  DATABASE_URL: postgres.url,
  APP_ENV: 'local',
  APP_KEY: `base64:${randomBytes(32).toString('base64')}`,
  HASH_ROUNDS: '4',
  TOKEN_LOGIN: 'on',
}
let exitCode = 1
try {
  await database.connect()
  await command('migrate')
  await command('seed')
  await Promise.all([checkPrograms(), checkPages()])
  exitCode = report()
} finally {
  await database.end().catch(() => {})
  await postgres.stop()
}
process.exit(exitCode)

/** Runs a command of the server's program, with a password as its input. */
async function command(...args: string[]) {
  const running = promisify(execFile)(process.execPath, [MAIN, ...args], {
    env: { ...minimal(), ...settings },
    cwd: folder,
  })
  running.child.stdin?.end(PASSWORD)
  await running
}

async function addUser(name: string) {
  const email = `${name}@example.org`
  await command('user', 'create', '--name', name, '--email', email, '--verified', '--password-stdin')
  return { name, email, password: PASSWORD }
}

/** Runs the programs of both languages at the same time: most of their time they wait for a rate limit. */
async function checkPrograms() {
  const server = await Instance.create('programs', folder, {
    ...settings,
    SANCTUM_STATEFUL_DOMAINS: 'localhost:3000',
    // Fewer than a program sends, so that it has to wait.
    RATE_LIMIT_AUTHENTICATED: '30',
  })
  await server.start()
  const checkRuntime = async (runtime: Runtime) => {
    const path = findRuntime(runtime)
    if (path === null) return skip(runtime.name, runtime.missing)
    const { email, password } = await addUser(runtime.name)
    const env = {
      ...minimal(),
      API_URL: server.base,
      FIRST_PARTY: 'http://localhost:3000',
      EMAIL: email,
      PASSWORD: password,
    }
    for (const program of runtime.programs) {
      await check(`clients/${program}`, () => runProgram(path, program, env))
    }
  }
  await Promise.all([GUZZLE, REQUESTS].map(checkRuntime))
}

/** Uses the Nuxt application in each mode. */
async function checkPages() {
  const executablePath = findChromium()
  if (executablePath === null) return skip('Nuxt', 'Chromium')
  if (!(await check('Nuxt: the build', buildNuxt))) return
  const ports = { cookie: await freePort(), proxy: await freePort(), token: await freePort() }
  const server = await Instance.create('pages', folder, {
    ...settings,
    // A page with a bearer token belongs to no first party: its changes would need a CSRF token.
    SANCTUM_STATEFUL_DOMAINS: `localhost:${ports.cookie},localhost:${ports.proxy}`,
    CORS_ALLOWED_ORIGINS: `http://localhost:${ports.token}`,
    // Nuxt, which names its visitors by x-forwarded-ip.
    LOCAL_IPS: '127.0.0.1',
  })
  await server.start()
  const api = server.base.replace('127.0.0.1', 'localhost')
  const chromium = await launchChromium(executablePath)
  try {
    for (const mode of MODES) {
      const user = await addUser(`nuxt-${mode}`)
      const origin = await startNuxt(mode, ports[mode], api)
      await checkNuxt(mode, origin, user, { chromium, database, api })
    }
  } finally {
    await chromium.close()
  }
}
