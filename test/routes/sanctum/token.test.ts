import t, { type Test } from 'tap'
import { addRestriction, ensureFullBan } from '#src/database/restrictions.ts'
import { fromAddress, startBehindProxy } from '../../fixtures/attempts.ts'
import { aLoggedInUser } from '../../fixtures/browser.ts'
import { NOW, testClock } from '../../fixtures/clock.ts'
import {
  addSecondFactor,
  aUserWithSecondFactor,
  totpCode,
  WRONG_CODE,
  WRONG_RECOVERY_CODE,
} from '../../fixtures/second-factor.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { countTokens } from '../../fixtures/tokens.ts'
import { aMember, PASSWORD, USER_TYPE } from '../../fixtures/users.ts'
import { afterVerifying, get, send, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

const ENVIRONMENT = { ...UNLIMITED, TOKEN_LOGIN: 'on', LOGIN_RATE_LIMIT: '100', TWO_FACTOR_RATE_LIMIT: '100' }

const WRONG = { email: ['These credentials do not match our records.'] }

const logIn = (app: TestApp, payload: object | string, headers: Record<string, string> = {}) =>
  send(app, 'POST', '/sanctum/token', { payload, headers })

/** The events of a user, oldest first, once the server has stored all of them. */
async function eventsOf(app: TestApp, { kysely }: TestDatabase, { id }: { id: number }) {
  await app.events.drain()
  const events = kysely.selectFrom('account_events').select('event').where('user_id', '=', id).orderBy('id')
  return (await events.execute()).map(({ event }) => event)
}

for (const engine of ENGINES) {
  t.test(`POST /sanctum/token on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const start = (t: Test, environment: Record<string, string> = {}) =>
      startApp(t, { database, environment: { ...ENVIRONMENT, ...environment } })

    await t.test('it is off unless it is turned on', async t => {
      const app = await startApp(t, { database })
      const { email } = await aMember(database)
      t.equal((await logIn(app, { email, password: PASSWORD, device_name: 'phone' })).status, 404)
    })

    await t.test('a token is issued for an e-mail address and a password', async t => {
      const app = await start(t)
      const user = await aMember(database, { roles: ['Verified'] })
      const answer = await logIn(app, {
        email: user.email.toUpperCase(),
        password: PASSWORD,
        device_name: ' my phone ',
      })
      t.equal(answer.status, 201)
      t.strictSame(Object.keys(answer.json), ['token'])
      t.match(answer.json.token, /^\d+\|\w{48}$/)
      t.strictSame(answer.setCookies, [])
      t.equal(answer.headers['cache-control'], 'no-store, private')
      const me = await get(app, '/api/me', answer.json.token)
      t.equal(me.json.user.id, user.id)
      const id = Number.parseInt(answer.json.token, 10)
      const { token } = (await get(app, `/api/me/token/${id}`, answer.json.token)).json
      t.match(token, { name: 'my phone', abilities: ['*'], expires_at: null })
      t.strictSame(await eventsOf(app, database, user), ['token created', 'login'])
    })

    await t.test('abilities, addresses and expiry are those of the request, in a form too', async t => {
      const app = await start(t)
      const { email } = await aMember(database)
      const form = new URLSearchParams({
        email,
        password: PASSWORD,
        device_name: 'cli',
        expires_at: '2026-04-01',
      })
      form.append('abilities[]', 'read:me')
      form.append('abilities[]', 'read:token')
      form.append('allowed_ips[]', '127.0.0.1')
      const type = { 'content-type': 'application/x-www-form-urlencoded' }
      const { status, json } = await logIn(app, String(form), type)
      t.equal(status, 201)
      const id = Number.parseInt(json.token, 10)
      const { token } = (await get(app, `/api/me/token/${id}`, json.token)).json
      t.match(token, {
        abilities: ['read:me', 'read:token'],
        allowed_ips: ['127.0.0.1'],
        expires_at: '2026-04-01T00:00:00.000000Z',
      })
      t.equal((await get(app, '/api/me/playlist', json.token)).status, 403)
    })

    await t.test('wrong credentials and input that is not valid are 422', async t => {
      const app = await start(t)
      const user = await aMember(database)
      const right = { email: user.email, password: PASSWORD, device_name: 'x' }
      for (const [change, errors] of [
        [{ password: 'wrong' }, WRONG],
        [{ email: 'unknown@example.org' }, WRONG],
        [{ email: undefined }, { email: ['The email field is required.'] }],
        [{ password: undefined }, { password: ['The password field is required.'] }],
        [{ device_name: undefined }, { device_name: ['The device name field is required.'] }],
        [{ device_name: '\u200b' }, { device_name: ['The device name field is required.'] }],
        [{ abilities: ['nope'] }, { abilities: [/nope/] }],
        [{ allowed_ips: ['x'] }, { allowed_ips: [/./] }],
        [{ expires_at: '2020-01-01' }, { expires_at: [/./] }],
        [{ expires_at: 'soon' }, { expires_at: [/./] }],
      ] as const) {
        const { status, json } = await logIn(app, { ...right, ...change })
        t.equal(status, 422, JSON.stringify(change))
        t.match(json.errors, errors, JSON.stringify(change))
      }
      t.equal(await countTokens(database, user), 1, 'only the one that the user had')
      t.ok((await eventsOf(app, database, user)).includes('wrong password'))
    })

    await t.test('a session, its cookie and a bearer token are ignored', async t => {
      const app = await start(t)
      const { browser, user } = await aLoggedInUser(app, database)
      const other = await aMember(database)
      const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      const headers = { cookie, origin: 'http://localhost:3000', authorization: `Bearer ${user.token}` }
      const answer = await logIn(app, { email: other.email, password: PASSWORD, device_name: 'x' }, headers)
      t.equal(answer.status, 201, 'without a CSRF token')
      t.strictSame(answer.setCookies, [])
      t.equal((await get(app, '/api/me', answer.json.token)).json.user.id, other.id)
      t.equal((await browser.get('/api/me')).json.user.id, user.id, 'the session is as it was')
      const wrong = await logIn(app, { email: user.email, password: 'wrong', device_name: 'x' }, headers)
      t.equal(wrong.status, 422, 'a session does not replace the password')
    })

    await t.test('a second factor is required, and a code is used up', async t => {
      const app = await start(t)
      const { user, secret, codes } = await aUserWithSecondFactor(t, app, database)
      const right = { email: user.email, password: PASSWORD, device_name: 'x' }
      const errorsFor = async (payload: object) => {
        const { status, json } = await logIn(app, { ...right, ...payload })
        return status === 201 ? null : json.errors
      }
      t.strictSame(await errorsFor({}), { code: ['The code field is required.'] })
      t.strictSame(await errorsFor({ password: 'wrong', code: totpCode(secret, app) }), WRONG)
      t.strictSame(await errorsFor({ code: '000000' }), WRONG_CODE)
      t.strictSame(await errorsFor({ recovery_code: 'wrong' }), WRONG_RECOVERY_CODE)
      const before = await countTokens(database, user)
      t.strictSame(Object.keys(await errorsFor({ code: totpCode(secret, app), expires_at: 'x' })), [
        'expires_at',
      ])
      t.equal(
        await errorsFor({ code: totpCode(secret, app) }),
        null,
        'a refused request has not used the code up',
      )
      t.strictSame(await errorsFor({ code: totpCode(secret, app) }), WRONG_CODE, 'it is used up')
      const [code] = codes
      t.equal(await errorsFor({ recovery_code: code }), null)
      t.strictSame(await errorsFor({ recovery_code: code }), WRONG_RECOVERY_CODE)
      t.equal(await countTokens(database, user), before + 2)
    })

    await t.test('a banned user is told why, and an unverified one gets no token', async t => {
      const app = await start(t)
      const banned = await aMember(database)
      const reason = { reason: 'spam', expiresAt: null, moderatorId: banned.id, now: NOW }
      const everything = { kind: 'sanction', id: await ensureFullBan(database.kysely, NOW) } as const
      await addRestriction(database.kysely, { userId: banned.id, types: [USER_TYPE] }, everything, reason)
      const refused = await logIn(app, { email: banned.email, password: PASSWORD, device_name: 'x' })
      t.equal(refused.status, 422)
      t.strictSame(refused.json.errors, { email: ['Your account is banned without an end: spam.'] })
      const unverified = await aMember(database, { verified: false })
      const answer = await logIn(app, { email: unverified.email, password: PASSWORD, device_name: 'x' })
      t.equal(answer.status, 403)
      t.match(answer.json.message, /not verified/)
      for (const user of [banned, unverified]) t.equal(await countTokens(database, user), 1)
    })

    await t.test('too many tokens are 403', async t => {
      const app = await start(t, { TOKENS_PER_USER: '1' })
      const { email } = await aMember(database)
      t.equal((await logIn(app, { email, password: PASSWORD, device_name: 'x' })).status, 403)
    })

    await t.test('the limits are those of logins', async t => {
      const app = await startBehindProxy(t, database, { TOKEN_LOGIN: 'on', LOGIN_RATE_LIMIT: '3' })
      const { email } = await aMember(database)
      const { headers } = fromAddress('198.51.100.20')
      const attempt = (password: string) => logIn(app, { email, password, device_name: 'x' }, headers)
      for (let n = 0; n < 3; n += 1) t.equal((await attempt('wrong')).status, 422)
      const limited = await attempt(PASSWORD)
      t.equal(limited.status, 429)
      t.ok(Number(limited.headers['retry-after']) > 0)
      const login = await send(app, 'POST', '/login', { payload: { email, password: PASSWORD }, headers })
      t.equal(login.status, 419, 'only a session reaches the login')
    })

    await t.test('what changes while the password is verified counts', async t => {
      for (const [name, change, status] of [
        ['a changed password', { password: 'other' }, 422],
        ['a deleted user', { deleted_at: '2026-02-01 00:00:00' }, 422],
        ['an address that is not verified any more', { email_verified_at: null }, 403],
      ] as const) {
        const app = await start(t)
        const user = await aMember(database)
        afterVerifying(app, async () => {
          await database.kysely.updateTable('users').set(change).where('id', '=', user.id).execute()
        })
        const answer = await logIn(app, { email: user.email, password: PASSWORD, device_name: 'x' })
        t.equal(answer.status, status, name)
        t.equal(await countTokens(database, user), 1, name)
      }
    })

    for (const [name, proof] of [
      ['is required', {}],
      ['is not tried', { code: '000000' }],
      ['is not tried by a recovery code', { recovery_code: 'wrong' }],
    ] as const) {
      await t.test(`a second factor that is confirmed while the password is verified ${name}`, async t => {
        // The clock goes to the next code, which is not to be the request's timeout.
        const app = await startApp(t, { database, environment: ENVIRONMENT, monotonic: testClock() })
        const { user, browser } = await aLoggedInUser(app, database)
        let isFirst = true
        afterVerifying(app, async () => {
          if (!isFirst) return
          isFirst = false
          await addSecondFactor(t, app, browser)
        })
        const entered = { email: user.email, password: PASSWORD, device_name: 'x', ...proof }
        const { status, json } = await logIn(app, entered)
        t.equal(status, 422)
        t.strictSame(json.errors, { code: ['The code field is required.'] })
      })
    }

    await t.test('the user is notified of the new token', async t => {
      const app = await start(t)
      const { email } = await aMember(database)
      await logIn(app, { email, password: PASSWORD, device_name: 'my phone' })
      t.match((await app.mailbox.nextTo(email)).text, /my phone/)
    })
  })
}
