/**
 * `node dist/bench/floods/counters.js`: exhausts the limit of wrong second-factor codes, sends FLOOD_REQUESTS cheap
 * requests (150,000 by default) from as many addresses, and checks whether the limit holds. Then counts the statements
 * of logins. Uses the PostgreSQL of BENCH_DATABASE_URL, or one that is started.
 */
import { Secret as OneTimeSecret, TOTP } from 'otpauth'
import { buildApp } from '#src/app.ts'
import { hashPassword } from '#src/auth/password.ts'
import { loadConfig } from '#src/config/load.ts'
import { databaseOver } from '#src/database/connect.ts'
import { migrate } from '#src/database/migrate.ts'
import { postgresConnections } from '#src/database/postgres.ts'
import { insertUser } from '#src/database/users.ts'
import { TestBrowser } from '../../test/fixtures/browser.ts'
import { TEST_KEY } from '../../test/support/app.ts'
import { startPostgres } from '../../test/support/services.ts'
import { UNLIMITED } from '../servers.ts'
import { fixed, printTable } from '../table.ts'

const REQUESTS = Number(process.env.FLOOD_REQUESTS ?? 150_000)

/** Concurrent requests. */
const AT_ONCE = 64

const PASSWORD = 'Correct horse 1'
const EMAIL = 'flooded@example.org'

/** bcrypt's minimum cost: only statements are counted here. */
const ROUNDS = 4

/** Statements that are batched for many requests. */
const BACKGROUND = /^\s*(with used as|insert into account_events)/

const externalUrl = process.env.BENCH_DATABASE_URL
const postgres = externalUrl ? null : await startPostgres()
const source = postgresConnections(externalUrl || (postgres?.url ?? ''), () => {})
let statements = 0
const database = databaseOver({
  ...source,
  open: async () => {},
  async acquire() {
    const session = await source.acquire()
    return {
      query(text, parameters, name) {
        if (!BACKGROUND.test(text)) statements += 1
        return session.query(text, parameters, name)
      },
      release: () => session.release(),
    }
  },
})
await migrate(database.kysely)
await database.kysely.deleteFrom('users').where('email', '=', EMAIL).execute()
await insertUser(database.kysely, {
  name: 'flooded',
  email: EMAIL,
  password: await hashPassword(PASSWORD, ROUNDS),
  verified: true,
  now: Date.now(),
})

const app = buildApp({
  config: loadConfig({
    APP_KEY: TEST_KEY,
    HASH_ROUNDS: String(ROUNDS),
    LOG_LEVEL: 'silent',
    TRUSTED_PROXIES: '127.0.0.1',
    // Counted, but never reached.
    RATE_LIMIT_ANONYMOUS: UNLIMITED,
  }),
  database,
  // A stopped clock: no window ends, and no session is looked up again because of a long response.
  monotonic: () => 1,
})
await app.ready()

const from = (address: string) => ({ headers: { 'x-forwarded-for': address } })

async function logIn(address: string): Promise<TestBrowser> {
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie', from(address))
  await browser.post('/login', { email: EMAIL, password: PASSWORD }, from(address))
  return browser
}

const enterCode = async (browser: TestBrowser, code: string, address: string) =>
  (await browser.post('/two-factor-challenge', { code }, from(address))).status

const owner = await logIn('192.0.2.1')
await owner.post('/user/confirm-password', { password: PASSWORD })
await owner.post('/user/two-factor-authentication')
const secret: string = (await owner.get('/user/two-factor-secret-key')).json.secretKey
const code = new TOTP({ secret: OneTimeSecret.fromBase32(secret) }).generate()
await owner.post('/user/confirmed-two-factor-authentication', { code })

let wrong = 0
for (let n = 1, isOpen = true; isOpen; n += 1) {
  const address = `198.51.100.${n}`
  const browser = await logIn(address)
  for (let again = 0; again < 5 && isOpen; again += 1) {
    isOpen = (await enterCode(browser, '000000', address)) === 422
    if (isOpen) wrong += 1
  }
}

const waiting = await logIn('203.0.113.1')
const beganAt = performance.now()
let sent = 0
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    while (sent < REQUESTS) {
      sent += 1
      const address = `10.${sent >> 16}.${(sent >> 8) & 255}.${sent & 255}`
      await app.inject({ url: '/api/me', headers: { 'x-forwarded-for': address } })
    }
  }),
)
const seconds = (performance.now() - beganAt) / 1000
const status = await enterCode(waiting, '000000', '203.0.113.1')

printTable(
  ['wrong codes until refused', 'cheap requests', 'a second', 'another wrong code', 'the limit'],
  [[wrong, REQUESTS, fixed(REQUESTS / seconds, 0), status, status === 429 ? 'held' : 'was forgotten']],
  'in one process, without Redis',
)

/** Counts the statements per login from an address. */
async function statementsPerLogin(address: string, email: string, password: string, logins: number) {
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie', from(address))
  const responses: number[] = []
  const before = statements
  for (let n = 0; n < logins; n += 1) {
    responses.push((await browser.post('/login', { email, password }, from(address))).status)
  }
  return { responses: [...new Set(responses)].join(', '), each: fixed((statements - before) / logins, 2) }
}

const OTHER = 'unknown@example.org'
const rows: string[][] = []
for (const [name, email, password, logins] of [
  ['wrong password', OTHER, 'wrong', 5],
  ['refused', OTHER, 'wrong', 100],
  ['right password, which a second factor follows', EMAIL, PASSWORD, 3],
] as const) {
  const { responses, each } = await statementsPerLogin('203.0.113.50', email, password, logins)
  rows.push([name, responses, each])
}
printTable(
  ['login', 'responses', 'statements'],
  rows,
  'with the one that looks the session up; one login after the other, all from one address',
)

await app.close()
await postgres?.stop()
