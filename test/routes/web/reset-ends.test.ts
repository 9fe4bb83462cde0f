import t, { type Test } from 'tap'
import { TestBrowser } from '../../fixtures/browser.ts'
import { MINUTE } from '../../fixtures/clock.ts'
import { linkIn } from '../../fixtures/mailbox.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aMember, aToken, PASSWORD } from '../../fixtures/users.ts'
import { get, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../support/databases.ts'

const NEW = 'Another-horse-2'
const INVALID = { email: ['This password reset token is invalid.'] }

for (const engine of PRODUCTION_ENGINE) {
  t.test(`what a new password ends on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await links(t, database)
    await tokens(t, database)
    await neverVerified(t, database)
  })
}

async function member(t: Test, database: TestDatabase, environment = {}, options = {}) {
  const app = await startApp(t, { database, environment: { ...UNLIMITED, ...environment } })
  const user = await aMember(database, options)
  return { app, user }
}

/** Asks for a link to a new password, and returns its token. */
async function ask(app: TestApp, email: string) {
  const guest = new TestBrowser(app)
  await guest.get('/sanctum/csrf-cookie')
  await guest.post('/forgot-password', { email })
  return linkIn(await app.mailbox.next()).searchParams.get('token')
}

async function reset(app: TestApp, email: string, token: string | null, input = {}) {
  const guest = new TestBrowser(app)
  await guest.get('/sanctum/csrf-cookie')
  return guest.post('/reset-password', {
    token,
    email,
    password: NEW,
    password_confirmation: NEW,
    ...input,
  })
}

async function links(t: Test, database: TestDatabase) {
  await t.test('a link that was sent before opens nothing after a change', async t => {
    const { app, user } = await member(t, database)
    const token = await ask(app, user.email)
    const owner = new TestBrowser(app)
    await owner.logIn(user)
    const payload = { current_password: PASSWORD, password: NEW, password_confirmation: NEW }
    t.equal((await owner.send('PUT', '/user/password', { payload })).status, 200)
    t.strictSame((await reset(app, user.email, token)).json.errors, INVALID)
    t.equal((await owner.get('/api/me')).status, 200)
    const rows = database.kysely.selectFrom('password_reset_tokens').select('email')
    t.strictSame(await rows.where('email', '=', user.email).execute(), [])
    app.clock.advance(MINUTE)
    await app.mailbox.next()
    t.equal((await reset(app, user.email, await ask(app, user.email))).status, 200, 'a later one does')
  })
}

async function tokens(t: Test, database: TestDatabase) {
  await t.test('a reset revokes tokens, a change keeps them', async t => {
    const { app, user } = await member(t, database)
    const owner = new TestBrowser(app)
    await owner.logIn(user)
    const payload = { current_password: PASSWORD, password: NEW, password_confirmation: NEW }
    await owner.send('PUT', '/user/password', { payload })
    t.equal((await get(app, '/api/me', user.token)).status, 200)
    await app.mailbox.next()
    t.equal((await reset(app, user.email, await ask(app, user.email))).status, 200)
    t.equal((await get(app, '/api/me', user.token)).status, 401)
  })

  await t.test('unless the rule or the request says otherwise', async t => {
    const first = await member(t, database, { REVOKE_TOKENS_ON_PASSWORD_RESET: 'false' })
    await reset(first.app, first.user.email, await ask(first.app, first.user.email))
    t.equal((await get(first.app, '/api/me', first.user.token)).status, 200)
    const second = await member(t, database)
    const token = await ask(second.app, second.user.email)
    await reset(second.app, second.user.email, token, { revoke_tokens: false })
    t.equal((await get(second.app, '/api/me', second.user.token)).status, 200)
  })
}

async function neverVerified(t: Test, database: TestDatabase) {
  await t.test('an account that was made in advance is empty once its owner has reset it', async t => {
    const environment = { REVOKE_TOKENS_ON_PASSWORD_RESET: 'false' }
    const { app, user } = await member(t, database, environment, { verified: false })
    const hijacker = new TestBrowser(app)
    await hijacker.get('/sanctum/csrf-cookie')
    await hijacker.post('/login', { ...user, remember: true })
    const { token } = await aToken(database, user.id)
    await database.kysely
      .updateTable('users')
      .set({
        two_factor_secret: 'x',
        two_factor_recovery_codes: 'x',
        two_factor_confirmed_at: '2026-03-01 12:00:00',
      })
      .where('id', '=', user.id)
      .execute()
    const answer = await reset(app, user.email, await ask(app, user.email), { revoke_tokens: false })
    t.equal(answer.status, 200)
    for (const one of [token, user.token]) t.equal((await get(app, '/api/me', one)).status, 401)
    t.equal((await hijacker.get('/api/me')).status, 401)
    hijacker.cookies.delete('animethemes_session')
    t.equal((await hijacker.get('/api/me')).status, 401)
    const owner = new TestBrowser(app)
    const login = await owner.logIn({ ...user, password: NEW })
    t.strictSame(login.json, { two_factor: false }, "the hijacker's second factor shuts nobody out")
    t.equal((await owner.get('/api/me')).status, 200)
  })

  await t.test('a second factor of a verified account stays', async t => {
    const { app, user } = await member(t, database)
    await database.kysely
      .updateTable('users')
      .set({ two_factor_secret: 'x', two_factor_confirmed_at: '2026-03-01 12:00:00' })
      .where('id', '=', user.id)
      .execute()
    await reset(app, user.email, await ask(app, user.email))
    const owner = new TestBrowser(app)
    t.strictSame((await owner.logIn({ ...user, password: NEW })).json, { two_factor: true })
  })
}
