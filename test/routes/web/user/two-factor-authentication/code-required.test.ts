import t, { type Test } from 'tap'
import { aLoggedInUser, TestBrowser } from '../../../../fixtures/browser.ts'
import { MINUTE } from '../../../../fixtures/clock.ts'
import {
  aUserWithSecondFactor,
  FACTOR_PATH,
  QR_CODE_PATH,
  RECOVERY_CODES_PATH,
  SECRET_KEY_PATH,
  totpCode,
  WRONG_CODE,
  WRONG_RECOVERY_CODE,
} from '../../../../fixtures/second-factor.ts'
import { startUnlimited } from '../../../../fixtures/server.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../../../support/databases.ts'

const MISSING = {
  code: ['Enter a current code of your authenticator app, or a recovery code, to change or show this.'],
}

/** A user with a second factor, whose recovery codes were shown more than ten minutes ago. */
async function startWithSecondFactor(
  t: Test,
  database: TestDatabase,
  environment: Record<string, string> = {},
) {
  const app = await startUnlimited(t, database, environment)
  const factor = await aUserWithSecondFactor(t, app, database)
  app.clock.advance(11 * MINUTE)
  return { app, ...factor }
}

/** The columns of a user's second factor. */
const columnsOf = ({ kysely }: TestDatabase, id: number) =>
  kysely
    .selectFrom('users')
    .select(['two_factor_secret', 'two_factor_recovery_codes', 'two_factor_confirmed_at'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow()

const ACTIONS: [
  name: string,
  act: (browser: TestBrowser, proof: Record<string, string>) => ReturnType<TestBrowser['get']>,
][] = [
  ['disabling a second factor', (browser, payload) => browser.send('DELETE', FACTOR_PATH, { payload })],
  ['replacing a second factor', (browser, proof) => browser.post(FACTOR_PATH, { force: true, ...proof })],
  [
    'showing recovery codes',
    (browser, proof) => browser.get(`${RECOVERY_CODES_PATH}?${new URLSearchParams(proof)}`),
  ],
  ['replacing recovery codes', (browser, proof) => browser.post(RECOVERY_CODES_PATH, proof)],
]

for (const engine of PRODUCTION_ENGINE) {
  t.test(`what requires a code of the second factor, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    for (const [name, act] of ACTIONS) {
      await t.test(`${name} requires a code besides the password confirmation`, async t => {
        const { app, user, browser, secret, codes } = await startWithSecondFactor(t, database)
        const before = await columnsOf(database, user.id)
        const missing = await act(browser, {})
        t.equal(missing.status, 422)
        t.strictSame(missing.json.errors, MISSING)
        const wrong = await act(browser, { code: '000000' })
        t.equal(wrong.status, 422)
        t.strictSame(wrong.json.errors, WRONG_CODE)
        t.strictSame((await act(browser, { recovery_code: 'x' })).json.errors, WRONG_RECOVERY_CODE)
        t.notMatch(missing.text + wrong.text, codes[0] ?? '')
        t.strictSame(await columnsOf(database, user.id), before, 'nothing is changed')
        t.match(
          app.logged.find(({ msg }) => msg === 'wrong code'),
          { userId: user.id },
        )
        const right = await act(browser, { code: totpCode(secret, app) })
        t.equal(right.status, 200)
        if (name === 'showing recovery codes') t.strictSame(right.json, codes)
        else
          t.not(
            (await columnsOf(database, user.id)).two_factor_recovery_codes,
            before.two_factor_recovery_codes,
          )
      })

      await t.test(`${name} accepts a recovery code once`, async t => {
        const { user, browser, codes } = await startWithSecondFactor(t, database)
        const right = await act(browser, { recovery_code: codes[2] ?? '' })
        t.equal(right.status, 200)
        if (name === 'showing recovery codes') {
          t.strictSame(right.json.toSpliced(2, 1), codes.toSpliced(2, 1))
          t.not(right.json[2], codes[2], 'the used code is replaced')
          t.equal((await act(browser, { recovery_code: codes[2] ?? '' })).status, 422)
        } else t.ok(await columnsOf(database, user.id))
      })

      await t.test(`${name} accepts a code once among concurrent requests`, async t => {
        const { app, browser, secret } = await startWithSecondFactor(t, database)
        const code = totpCode(secret, app)
        const answers = await Promise.all([1, 2, 3].map(() => act(browser.clone(), { code })))
        const right = answers.filter(({ status }) => status === 200).length
        // Once it is disabled, nothing is left that needs a code.
        if (name === 'disabling a second factor') t.ok(right >= 1)
        else t.equal(right, name === 'replacing a second factor' ? right : 1)
        t.ok(answers.every(({ status }) => status === 200 || status === 422))
      })
    }

    await t.test('wrong codes are limited as at the login', async t => {
      const { browser } = await startWithSecondFactor(t, database, { TWO_FACTOR_RATE_LIMIT: '3' })
      const statuses: number[] = []
      for (let n = 0; n < 4; n += 1) {
        statuses.push((await browser.send('DELETE', FACTOR_PATH, { payload: { code: '000000' } })).status)
      }
      t.strictSame(statuses, [422, 422, 422, 429])
    })

    await t.test('new recovery codes are shown without a code for ten minutes', async t => {
      const { app, browser, secret, codes } = await startWithSecondFactor(t, database)
      t.equal((await browser.get(RECOVERY_CODES_PATH)).status, 422)
      t.equal((await browser.post(RECOVERY_CODES_PATH, { code: totpCode(secret, app) })).status, 200)
      const fresh = await browser.get(RECOVERY_CODES_PATH)
      t.equal(fresh.status, 200)
      t.equal(new Set([...codes, ...fresh.json]).size, 16)
      app.clock.advance(10 * MINUTE)
      t.strictSame((await browser.get(RECOVERY_CODES_PATH)).json, fresh.json)
      app.clock.advance(1000)
      t.equal((await browser.get(RECOVERY_CODES_PATH)).status, 422)
    })

    await t.test('a recovery code that was used does not make the codes new', async t => {
      const { app, user, browser, codes } = await startWithSecondFactor(t, database)
      const other = new TestBrowser(app)
      await other.logIn(user)
      t.equal((await other.post('/two-factor-challenge', { recovery_code: codes[0] })).status, 204)
      t.equal((await browser.get(RECOVERY_CODES_PATH)).status, 422)
    })

    await t.test('with TWO_FACTOR_DISABLE_NEEDS_CODE=false disabling requires no code', async t => {
      const { browser } = await startWithSecondFactor(t, database, { TWO_FACTOR_DISABLE_NEEDS_CODE: 'false' })
      t.equal((await browser.get(RECOVERY_CODES_PATH)).status, 422, 'showing codes does')
      t.equal((await browser.post(FACTOR_PATH, { force: true })).status, 422)
      t.equal((await browser.send('DELETE', FACTOR_PATH)).status, 200)
    })

    await t.test('an unconfirmed second factor is replaced and disabled without a code', async t => {
      const app = await startUnlimited(t, database)
      const { browser } = await aLoggedInUser(app, database, { confirmed: true })
      await browser.post(FACTOR_PATH)
      const first = (await browser.get(SECRET_KEY_PATH)).json.secretKey
      t.equal((await browser.post(FACTOR_PATH, { force: true })).status, 200)
      t.not((await browser.get(SECRET_KEY_PATH)).json.secretKey, first)
      app.clock.advance(11 * MINUTE)
      t.equal((await browser.get(RECOVERY_CODES_PATH)).status, 200)
      t.equal((await browser.send('DELETE', FACTOR_PATH)).status, 200)
    })

    await t.test('the secret is not shown once it is confirmed', async t => {
      const { browser } = await startWithSecondFactor(t, database)
      const shown = await browser.get(SECRET_KEY_PATH)
      t.equal(shown.status, 404)
      t.strictSame(shown.json, { message: 'Two factor authentication has not been enabled.' })
      t.strictSame((await browser.get(QR_CODE_PATH)).json, [])
    })
  })
}
