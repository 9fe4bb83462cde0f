import t, { type Test } from 'tap'
import { TestBrowser } from '../../fixtures/browser.ts'
import { MINUTE } from '../../fixtures/clock.ts'
import { totpCode } from '../../fixtures/second-factor.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aMember, PASSWORD } from '../../fixtures/users.ts'
import { startApp } from '../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../support/databases.ts'

const STEP = 30_000
const MISSING = {
  code: ['Enter a current code of your authenticator app, or a recovery code, to change or show this.'],
}
const WRONG_CODE = { code: ['The provided two factor authentication code was invalid.'] }
const WRONG_RECOVERY_CODE = { recovery_code: ['The provided two factor recovery code was invalid.'] }

const FACTOR = '/user/two-factor-authentication'
const CODES = '/user/two-factor-recovery-codes'

for (const engine of PRODUCTION_ENGINE) {
  t.test(`what weakens a second factor on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await proofs(t, database)
    await others(t, database)
  })
}

/** A user who has a confirmed second factor, whose codes were shown, and more than ten minutes ago. */
async function enabled(t: Test, database: TestDatabase, environment: Record<string, string> = {}) {
  const app = await startApp(t, { database, environment: { ...UNLIMITED, ...environment } })
  const user = await aMember(database)
  const browser = new TestBrowser(app)
  await browser.logIn(user)
  await browser.post('/user/confirm-password', { password: PASSWORD })
  await browser.post(FACTOR)
  const secret: string = (await browser.get('/user/two-factor-secret-key')).json.secretKey
  const codes: string[] = (await browser.get(CODES)).json
  const code = totpCode(secret, app)
  t.equal((await browser.post('/user/confirmed-two-factor-authentication', { code })).status, 200)
  app.clock.advance(11 * MINUTE)
  return { app, user, browser, secret, codes }
}

const row = ({ kysely }: TestDatabase, id: number) =>
  kysely
    .selectFrom('users')
    .select(['two_factor_secret', 'two_factor_recovery_codes', 'two_factor_confirmed_at'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow()

const ACTIONS: [
  name: string,
  act: (browser: TestBrowser, proof: Record<string, string>) => ReturnType<TestBrowser['get']>,
][] = [
  ['disabling', (browser, payload) => browser.send('DELETE', FACTOR, { payload })],
  ['replacing', (browser, proof) => browser.post(FACTOR, { force: true, ...proof })],
  ['showing the codes', (browser, proof) => browser.get(`${CODES}?${new URLSearchParams(proof)}`)],
  ['replacing the codes', (browser, proof) => browser.post(CODES, proof)],
]

async function proofs(t: Test, database: TestDatabase) {
  for (const [name, act] of ACTIONS) {
    await t.test(`${name} takes a code besides the confirmed password`, async t => {
      const { app, user, browser, secret, codes } = await enabled(t, database)
      const before = await row(database, user.id)
      const missing = await act(browser, {})
      t.equal(missing.status, 422)
      t.strictSame(missing.json.errors, MISSING)
      const wrong = await act(browser, { code: '000000' })
      t.equal(wrong.status, 422)
      t.strictSame(wrong.json.errors, WRONG_CODE)
      t.strictSame((await act(browser, { recovery_code: 'x' })).json.errors, WRONG_RECOVERY_CODE)
      t.notMatch(missing.text + wrong.text, codes[0] ?? '')
      t.strictSame(await row(database, user.id), before, 'nothing is changed by that')
      t.match(
        app.logged.find(({ msg }) => msg === 'wrong code'),
        { userId: user.id },
      )
      const right = await act(browser, { code: totpCode(secret, app) })
      t.equal(right.status, 200)
      if (name === 'showing the codes') t.strictSame(right.json, codes)
      else t.not((await row(database, user.id)).two_factor_recovery_codes, before.two_factor_recovery_codes)
    })

    await t.test(`${name} takes a recovery code as well, once`, async t => {
      const { user, browser, codes } = await enabled(t, database)
      const right = await act(browser, { recovery_code: codes[2] ?? '' })
      t.equal(right.status, 200)
      if (name === 'showing the codes') {
        t.strictSame(right.json.toSpliced(2, 1), codes.toSpliced(2, 1))
        t.not(right.json[2], codes[2], 'another one has taken its place')
        t.equal((await act(browser, { recovery_code: codes[2] ?? '' })).status, 422)
      } else t.ok(await row(database, user.id))
    })

    await t.test(`${name} uses a code up, however many ask at once`, async t => {
      const { app, browser, secret } = await enabled(t, database)
      const code = totpCode(secret, app)
      const answers = await Promise.all([1, 2, 3].map(() => act(browser.clone(), { code })))
      const right = answers.filter(({ status }) => status === 200).length
      // Once it is disabled, nothing is left that needs a code.
      if (name === 'disabling') t.ok(right >= 1)
      else t.equal(right, name === 'replacing' ? right : 1)
      t.ok(answers.every(({ status }) => status === 200 || status === 422))
    })
  }

  await t.test('guessing codes there is limited as at the login', async t => {
    const { browser } = await enabled(t, database, { TWO_FACTOR_RATE_LIMIT: '3' })
    const statuses: number[] = []
    for (let n = 0; n < 4; n += 1) {
      statuses.push((await browser.send('DELETE', FACTOR, { payload: { code: '000000' } })).status)
    }
    t.strictSame(statuses, [422, 422, 422, 429])
  })

  await t.test('codes are shown without one for ten minutes after they were made', async t => {
    const { app, browser, secret, codes } = await enabled(t, database)
    t.equal((await browser.get(CODES)).status, 422)
    t.equal((await browser.post(CODES, { code: totpCode(secret, app) })).status, 200)
    const fresh = await browser.get(CODES)
    t.equal(fresh.status, 200)
    t.equal(new Set([...codes, ...fresh.json]).size, 16)
    app.clock.advance(10 * MINUTE)
    t.strictSame((await browser.get(CODES)).json, fresh.json)
    app.clock.advance(1000)
    t.equal((await browser.get(CODES)).status, 422)
  })

  await t.test('a code that was used up makes none of them new', async t => {
    const { app, user, browser, codes } = await enabled(t, database)
    const other = new TestBrowser(app)
    await other.logIn(user)
    t.equal((await other.post('/two-factor-challenge', { recovery_code: codes[0] })).status, 204)
    t.equal((await browser.get(CODES)).status, 422)
  })

  await t.test('disabling takes none if clients cannot send one', async t => {
    const { browser } = await enabled(t, database, { TWO_FACTOR_DISABLE_NEEDS_CODE: 'false' })
    t.equal((await browser.get(CODES)).status, 422, 'all else does')
    t.equal((await browser.post(FACTOR, { force: true })).status, 422)
    t.equal((await browser.send('DELETE', FACTOR)).status, 200)
  })

  await t.test('what is not confirmed yet is made anew and taken away freely', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const user = await aMember(database)
    const browser = new TestBrowser(app)
    await browser.logIn(user)
    await browser.post('/user/confirm-password', { password: PASSWORD })
    await browser.post(FACTOR)
    const first = (await browser.get('/user/two-factor-secret-key')).json.secretKey
    t.equal((await browser.post(FACTOR, { force: true })).status, 200)
    t.not((await browser.get('/user/two-factor-secret-key')).json.secretKey, first)
    app.clock.advance(11 * MINUTE)
    t.equal((await browser.get(CODES)).status, 200)
    t.equal((await browser.send('DELETE', FACTOR)).status, 200)
  })

  await t.test('the secret is shown until it is confirmed', async t => {
    const { browser } = await enabled(t, database)
    const shown = await browser.get('/user/two-factor-secret-key')
    t.equal(shown.status, 404)
    t.strictSame(shown.json, { message: 'Two factor authentication has not been enabled.' })
    t.strictSame((await browser.get('/user/two-factor-qr-code')).json, [])
  })
}

async function others(t: Test, database: TestDatabase) {
  await t.test('confirming it ends all other sessions and devices, and keeps the one at hand', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const user = await aMember(database)
    const logIn = async (remember: boolean) => {
      const browser = new TestBrowser(app)
      await browser.get('/sanctum/csrf-cookie')
      await browser.post('/login', { ...user, remember })
      return browser
    }
    const [browser, plain, remembered] = [await logIn(true), await logIn(false), await logIn(true)]
    await browser.post('/user/confirm-password', { password: PASSWORD })
    await browser.post(FACTOR)
    t.equal((await plain.get('/api/me')).status, 200)
    const { secretKey } = (await browser.get('/user/two-factor-secret-key')).json
    const code = totpCode(secretKey, app)
    await browser.post('/user/confirmed-two-factor-authentication', { code })
    for (const one of [plain, remembered]) t.equal((await one.get('/api/me')).status, 401)
    remembered.cookies.delete('animethemes_session')
    t.equal((await remembered.get('/api/me')).status, 401)
    t.equal((await browser.get('/api/me')).status, 200)
    app.clock.advance(STEP)
    browser.cookies.delete('animethemes_session')
    t.equal((await browser.get('/api/me')).status, 200, 'its device as well')
  })
}
