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
import { checkNuxt, type Mode, startNuxt } from './nuxt.ts'
import { findRuntime, RUNTIMES, runProgram } from './programs.ts'
import { check, report, skip } from './results.ts'

const MODES: readonly Mode[] = ['cookie', 'proxy', 'token']
const PASSWORD = 'seven lilac tractors hum'

const { path: folder } = ownFolder('clients')
const postgres = await startPostgres()
const database = new pg.Client(postgres.url)
let exitCode = 1
try {
  const settings = {
    DATABASE_URL: postgres.url,
    APP_ENV: 'local',
    APP_KEY: `base64:${randomBytes(32).toString('base64')}`,
    HASH_ROUNDS: '4',
    TOKEN_LOGIN: 'on',
  }
  const command = async (...args: string[]) => {
    const child = promisify(execFile)(process.execPath, [MAIN, ...args], {
      env: { ...minimal(), ...settings },
      cwd: folder,
    })
    child.child.stdin?.end(PASSWORD)
    await child
  }
  await command('migrate')
  await command('seed')
  const addUser = async (name: string) => {
    const email = `${name}@example.org`
    await command('user', 'create', '--name', name, '--email', email, '--verified', '--password-stdin')
    return { name, email, password: PASSWORD }
  }
  await database.connect()
  await Promise.all([checkPrograms(), checkPages()])
  exitCode = report()

  async function checkPrograms() {
    const server = await Instance.create('programs', folder, {
      ...settings,
      SANCTUM_STATEFUL_DOMAINS: 'localhost:3000',
      // Fewer than a program sends, so that it has to wait.
      RATE_LIMIT_AUTHENTICATED: '30',
    })
    await server.start()
    const work = RUNTIMES.map(async runtime => {
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
    })
    await Promise.all(work)
  }

  async function checkPages() {
    const executablePath = findChromium()
    if (executablePath === null) return skip('Nuxt', 'Chromium')
    const modes = await Promise.all(MODES.map(async mode => ({ mode, port: await freePort() })))
    const server = await Instance.create('pages', folder, {
      ...settings,
      // A page with a bearer token belongs to no first party: its changes would need a CSRF token.
      SANCTUM_STATEFUL_DOMAINS: modes
        .filter(({ mode }) => mode !== 'token')
        .map(({ port }) => `localhost:${port}`)
        .join(),
      CORS_ALLOWED_ORIGINS: modes.map(({ port }) => `http://localhost:${port}`).join(),
      // Nuxt, which names its visitors by x-forwarded-ip.
      LOCAL_IPS: '127.0.0.1',
    })
    await server.start()
    const api = server.base.replace('127.0.0.1', 'localhost')
    const chromium = await launchChromium(executablePath)
    try {
      for (const { mode, port } of modes) {
        const user = await addUser(`nuxt-${mode}`)
        const origin = await startNuxt(mode, port, api)
        await checkNuxt(mode, origin, user, { chromium, database, api })
      }
    } finally {
      await chromium.close()
    }
  }
} finally {
  await database.end().catch(() => {})
  await postgres.stop()
}
process.exit(exitCode)
