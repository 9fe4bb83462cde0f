import t, { type Test } from 'tap'
import { MINUTE } from '../../fixtures/clock.ts'
import { aPanelUser, formsOf, PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { totpCode } from '../../fixtures/second-factor.ts'
import { startUnlimited } from '../../fixtures/server.ts'
import { PASSWORD } from '../../fixtures/users.ts'
import type { Answer } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

const PATH = '/admin/second-factor'
const MISSING = /Enter a current code of your authenticator app, or a recovery code/
const WRONG_CODE = /The provided two factor authentication code was invalid/

for (const engine of ENGINES) {
  t.test(`the second factor on the panel, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await testSetUp(t, database)
    await testQuestions(t, database)
    await testProofs(t, database)
    await testSecrecy(t, database)
    await testRequirement(t, database)
  })
}

/** The text of a `<code>` element by its id; empty if there is none. */
const shownIn = ({ text }: Answer, id: string): string =>
  new RegExp(`<code id="${id}">([^<]*)</code>`).exec(text)?.[1] ?? ''
const codesIn = (page: Answer) => shownIn(page, 'recovery-codes').split('\n')
const actionsOf = (page: Answer) =>
  formsOf(page)
    .map(({ action = '' }) => action)
    .filter(action => action.startsWith(PATH))
    .map(action => action.slice(PATH.length))

/** Submits the confirmation form of a question. */
const submitAnswer = (browser: PanelBrowser, question: Answer, action: string, fields = {}) => {
  t.equal(formsOf(question).find(form => form.action === action)?.hidden.confirmed, '1', textOf(question))
  return browser.submit(question, action, fields)
}

/** Starts a server with a user whose second factor is not confirmed yet. */
async function startWithUnconfirmedFactor(t: Test, database: TestDatabase, environment = {}) {
  const app = await startUnlimited(t, database, environment)
  const { browser, user } = await aPanelUser(app, database)
  const page = await browser.submit(await browser.open(PATH), `${PATH}/enable`, {
    current_password: PASSWORD,
  })
  return { app, browser, user, page, secret: shownIn(page, 'secret'), codes: codesIn(page) }
}

/** Starts a server with a user whose second factor was confirmed eleven minutes ago, so that recovery codes need a code. */
async function startWithConfirmedFactor(t: Test, database: TestDatabase, environment = {}) {
  const { page, ...started } = await startWithUnconfirmedFactor(t, database, environment)
  const { app, browser, secret } = started
  await browser.submit(page, `${PATH}/confirm`, { code: totpCode(secret, app) })
  app.clock.advance(11 * MINUTE)
  return { ...started, code: () => totpCode(secret, app) }
}

const readFactor = ({ kysely }: TestDatabase, { id }: { id: number }) =>
  kysely
    .selectFrom('users')
    .select(['two_factor_secret', 'two_factor_recovery_codes', 'two_factor_confirmed_at'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow()

async function testSetUp(t: Test, database: TestDatabase) {
  await t.test('it is set up, confirmed, and then required at the login', async t => {
    const app = await startUnlimited(t, database)
    const { browser, user } = await aPanelUser(app, database)
    const elsewhere = new PanelBrowser(app)
    await elsewhere.logIn(user)
    const emptyPage = await browser.open(PATH)
    t.match(textOf(emptyPage), /A second factor is an app on your phone/)
    t.match(emptyPage.text, `<a href="${PATH}" aria-current="page">Second factor</a>`)
    t.strictSame(actionsOf(emptyPage), ['/enable'])

    const made = await browser.submit(emptyPage, `${PATH}/enable`, { current_password: PASSWORD })
    t.match(textOf(made), /Confirm it with a code to activate it/)
    t.match(textOf(made), /All other browsers will be logged out, including remembered ones/)
    const secret = shownIn(made, 'secret')
    t.match(secret, /^[A-Z2-7]{32}$/)
    t.match(made.text, /<svg [^>]*><rect fill="white"/)
    t.match(made.text, `secret=${secret}`)
    t.notMatch(made.text, / style=/, 'the Content-Security-Policy forbids inline styles')
    t.equal(codesIn(made).length, 8)
    t.strictSame(actionsOf(made), ['/confirm', '/disable'])
    t.equal((await elsewhere.bare('GET', PATH)).status, 200)

    const wrong = await browser.submit(made, `${PATH}/confirm`, { code: '000000' })
    t.equal(wrong.status, 422)
    t.match(wrong.text, /id="code"[^>]*aria-invalid="true"/)
    t.match(textOf(wrong), WRONG_CODE)
    t.equal(shownIn(wrong, 'secret'), secret)
    t.equal((await readFactor(database, user)).two_factor_confirmed_at, null)

    const done = await browser.submit(wrong, `${PATH}/confirm`, { code: totpCode(secret, app) })
    t.match(textOf(done), /Your second factor has been active since 2026-03-01 12:00 UTC/)
    t.match((await elsewhere.bare('GET', PATH)).headers.location, /login/)
    app.clock.advance(MINUTE)
    const challenge = await elsewhere.logIn(user)
    t.strictSame(
      formsOf(challenge).map(({ action }) => action),
      ['/admin/two-factor'],
    )
    await elsewhere.submit(challenge, '/admin/two-factor', { code: totpCode(secret, app) })
    t.equal((await elsewhere.bare('GET', PATH)).status, 200)
  })

  await t.test(
    'recovery codes are shown without a code for ten minutes, and with one afterwards',
    async t => {
      const { app, browser, codes, code } = await startWithConfirmedFactor(t, database)
      app.clock.advance(-2 * MINUTE)
      const early = await browser.open(PATH)
      t.match(textOf(early), /No code is needed to show them yet/)
      t.strictSame(codesIn(await browser.submit(early, `${PATH}/recovery-codes`)), codes)
      app.clock.advance(2 * MINUTE)
      const page = await browser.open(PATH)
      for (const [fields, problem] of [
        [{}, MISSING],
        [{ code: '000000' }, WRONG_CODE],
      ] as const) {
        const refused = await browser.submit(page, `${PATH}/recovery-codes`, fields)
        t.equal(refused.status, 422)
        t.match(textOf(refused), problem)
        t.strictSame(codesIn(refused), [''])
      }
      const fields = { code: code() }
      const shown = await browser.submit(page, `${PATH}/recovery-codes`, fields)
      t.strictSame(codesIn(shown), codes)
      const again = await browser.submit(page, `${PATH}/recovery-codes`, fields)
      t.match(textOf(again), /This form was already submitted/)
      const byRecovery = await browser.submit(again, `${PATH}/recovery-codes`, {
        recovery_code: codes[3] ?? '',
      })
      t.strictSame(codesIn(byRecovery).toSpliced(3, 1), codes.toSpliced(3, 1))
      t.not(codesIn(byRecovery)[3], codes[3], 'the used recovery code was replaced')
    },
  )

  await t.test('an unconfirmed one is disabled without a code', async t => {
    const { browser, user, page } = await startWithUnconfirmedFactor(t, database)
    const question = await browser.submit(page, `${PATH}/disable`)
    t.match(textOf(question), /Discard the second factor\?/)
    t.notMatch(question.text, /name="code"/)
    const done = await submitAnswer(browser, question, `${PATH}/disable`)
    t.strictSame(actionsOf(done), ['/enable'])
    t.equal((await readFactor(database, user)).two_factor_secret, null)
  })

  await t.test('one with an unreadable secret can be disabled', async t => {
    const { browser, user } = await startWithUnconfirmedFactor(t, database)
    await database.kysely
      .updateTable('users')
      .set({ two_factor_secret: 'x' })
      .where('id', '=', user.id)
      .execute()
    const page = await browser.open(PATH)
    t.equal(page.status, 200)
    t.match(textOf(page), /The secret of your second factor cannot be shown/)
    t.strictSame(actionsOf(page), ['/disable'])
  })
}

async function testQuestions(t: Test, database: TestDatabase) {
  for (const [name, action, fields, text] of [
    ['disabled', '/disable', {}, /You will then log in with your password only\. We will notify you by mail/],
    ['replaced', '/enable', { force: '1' }, /Until you confirm the new secret/],
    ['given new recovery codes', '/recovery-codes/replace', {}, /The current recovery codes become invalid/],
  ] as const) {
    await t.test(`it is ${name} after a confirmation with a code`, async t => {
      const { browser, user, codes, code } = await startWithConfirmedFactor(t, database)
      const before = await readFactor(database, user)
      // A code sent with the first form is neither consumed nor carried into the question.
      const question = await browser.submit(await browser.open(PATH), `${PATH}${action}`, {
        ...fields,
        code: code(),
        recovery_code: codes[0] ?? '',
      })
      t.match(textOf(question), text)
      t.notMatch(textOf(question), /Your account requires/)
      t.notMatch(question.text, code())
      t.notMatch(question.text, codes[0] ?? '')
      t.strictSame(await readFactor(database, user), before)

      const missing = await submitAnswer(browser, question, `${PATH}${action}`)
      t.equal(missing.status, 422)
      t.match(textOf(missing), MISSING)
      const wrong = await submitAnswer(browser, missing, `${PATH}${action}`, { code: '000000' })
      t.equal(wrong.status, 422)
      t.match(textOf(wrong), WRONG_CODE)
      t.match(textOf(wrong), text, 'the question is shown again')
      t.match(wrong.text, /id="code"[^>]*aria-invalid="true"/)
      t.strictSame(await readFactor(database, user), before)

      const done = await submitAnswer(browser, wrong, `${PATH}${action}`, { code: code() })
      t.equal(done.status, 200)
      const after = await readFactor(database, user)
      t.not(after.two_factor_recovery_codes, before.two_factor_recovery_codes)
      if (name === 'disabled') {
        t.equal(after.two_factor_secret, null)
        t.strictSame(actionsOf(done), ['/enable'])
      } else if (name === 'replaced') {
        t.not(after.two_factor_secret, before.two_factor_secret)
        t.strictSame(actionsOf(done), ['/confirm', '/disable'])
      } else {
        t.equal(codesIn(done).length, 8)
        t.notOk(codesIn(done).some(one => codes.includes(one)))
      }
    })

    await t.test(`it is ${name} with a recovery code, once`, async t => {
      const { browser, codes } = await startWithConfirmedFactor(t, database)
      const question = await browser.submit(await browser.open(PATH), `${PATH}${action}`, fields)
      const proof = { recovery_code: codes[0] ?? '' }
      const done = await submitAnswer(browser, question, `${PATH}${action}`, proof)
      t.equal(done.status, 200)
      const again = await browser.sendForm(question, `${PATH}${action}`, proof)
      t.equal(again.headers.location, `${PATH}?done=sent-before`)
    })
  }

  await t.test('it is disabled without a code under TWO_FACTOR_DISABLE_NEEDS_CODE=false', async t => {
    const { browser, user } = await startWithConfirmedFactor(t, database, {
      TWO_FACTOR_DISABLE_NEEDS_CODE: 'false',
    })
    const question = await browser.submit(await browser.open(PATH), `${PATH}/disable`)
    t.notMatch(question.text, /name="code"/)
    await submitAnswer(browser, question, `${PATH}/disable`)
    t.equal((await readFactor(database, user)).two_factor_secret, null)
  })

  await t.test('forms that would change nothing redirect with a message', async t => {
    const app = await startUnlimited(t, database)
    const { browser } = await aPanelUser(app, database, { confirmed: true })
    const token = await browser.csrfToken()
    for (const action of ['/disable', '/recovery-codes/replace']) {
      const { headers } = await browser.post(`${PATH}${action}`, { _token: token })
      t.equal(headers.location, `${PATH}?done=unchanged`)
    }
    t.equal((await browser.post(`${PATH}/recovery-codes`, { _token: token })).headers.location, PATH)
    const { browser: other } = await startWithConfirmedFactor(t, database)
    const { headers } = await other.post(`${PATH}/enable`, { _token: await other.csrfToken() })
    t.equal(headers.location, `${PATH}?done=unchanged`)
  })
}

const POSTS = ['/password', '/enable', '/confirm', '/disable', '/recovery-codes', '/recovery-codes/replace']

async function testProofs(t: Test, database: TestDatabase) {
  await t.test('every form needs a confirmed password', async t => {
    const { app, user, secret, codes } = await startWithConfirmedFactor(t, database)
    const again = new PanelBrowser(app)
    await again.submit(await again.logIn(user), '/admin/two-factor', { code: totpCode(secret, app) })
    app.clock.advance(MINUTE)
    const before = await readFactor(database, user)
    const page = await again.open(PATH)
    t.strictSame(actionsOf(page), ['/password'])
    const token = formsOf(page)[0]?.hidden._token ?? ''
    for (const action of POSTS) {
      for (const current_password of ['', 'wrong']) {
        const fields = {
          force: '1',
          confirmed: '1',
          code: totpCode(secret, app),
          recovery_code: codes[1] ?? '',
        }
        const refused = await again.post(`${PATH}${action}`, { ...fields, _token: token, current_password })
        t.equal(refused.status, 422, action)
        t.match(textOf(refused), /The provided password was incorrect/)
        t.strictSame(actionsOf(refused), ['/password'])
        t.notMatch(refused.text, new RegExp([fields.code, ...codes].join('|')))
      }
    }
    t.strictSame(await readFactor(database, user), before)
    const after = await again.submit(page, `${PATH}/password`, { current_password: PASSWORD })
    t.match(textOf(after), /Your password was confirmed/)
    t.strictSame(actionsOf(after), ['/recovery-codes', '/recovery-codes/replace', '/enable', '/disable'])
  })

  await t.test(
    'forms that weaken the second factor need a code, even when sent as already confirmed',
    async t => {
      const { browser, user } = await startWithConfirmedFactor(t, database)
      const before = await readFactor(database, user)
      const token = await browser.csrfToken()
      for (const action of ['/enable', '/disable', '/recovery-codes', '/recovery-codes/replace']) {
        const fields = { _token: token, force: '1', confirmed: '1' }
        const refused = await browser.post(`${PATH}${action}`, fields)
        t.equal(refused.status, 422, action)
        t.match(textOf(refused), MISSING)
      }
      t.strictSame(await readFactor(database, user), before)
    },
  )

  await t.test('guests are redirected to the login, and forms without a CSRF token are refused', async t => {
    const { app, browser, user, secret } = await startWithUnconfirmedFactor(t, database)
    const before = await readFactor(database, user)
    const guest = new PanelBrowser(app)
    t.equal((await guest.bare('GET', PATH)).headers.location, `/admin/login?to=${PATH}`)
    for (const action of POSTS) {
      t.equal((await browser.post(`${PATH}${action}`, { code: totpCode(secret, app) })).status, 419, action)
    }
    t.strictSame(await readFactor(database, user), before)
  })
}

async function testSecrecy(t: Test, database: TestDatabase) {
  await t.test('the secret of an unconfirmed one is shown only after the password', async t => {
    const { app, browser, secret, codes, page } = await startWithUnconfirmedFactor(t, database, {
      SESSION_LIFETIME: '600',
    })
    t.equal(page.headers['cache-control'], 'no-store, private')
    app.clock.advance(181 * MINUTE)
    const hidden = await browser.open(PATH)
    t.strictSame(actionsOf(hidden), ['/password'])
    t.notMatch(hidden.text, /<svg|otpauth/)
    t.notMatch(hidden.text, new RegExp([secret, ...codes].join('|')))
    const shown = await browser.submit(hidden, `${PATH}/password`, { current_password: PASSWORD })
    t.equal(shownIn(shown, 'secret'), secret)
    t.strictSame(codesIn(shown), codes)
  })

  await t.test('a confirmed secret is not shown again', async t => {
    const { browser, secret, codes } = await startWithConfirmedFactor(t, database)
    const page = await browser.open(PATH)
    t.notMatch(page.text, new RegExp(`<svg|otpauth|${[secret, ...codes].join('|')}`))
  })

  await t.test('secrets and codes are in no cache, log or event', async t => {
    const { app, browser, user, secret, codes, code } = await startWithConfirmedFactor(t, database)
    const proof = code()
    const shown = await browser.submit(await browser.open(PATH), `${PATH}/recovery-codes`, { code: proof })
    t.equal(shown.headers['cache-control'], 'no-store, private')
    const recovery_code = codesIn(shown)[0] ?? ''
    const question = await browser.submit(await browser.open(PATH), `${PATH}/recovery-codes/replace`)
    t.equal(question.headers['cache-control'], 'no-store, private')
    const made = await submitAnswer(browser, question, `${PATH}/recovery-codes/replace`, { recovery_code })
    t.equal(made.headers['cache-control'], 'no-store, private')
    await app.events.drain()
    const events = await database.kysely
      .selectFrom('account_events')
      .selectAll()
      .where('user_id', '=', user.id)
      .execute()
    t.ok(events.some(({ event }) => event === 'recovery codes replaced'))
    const written = JSON.stringify([app.logged, events])
    for (const one of [secret, PASSWORD, ...codes, ...codesIn(made)]) t.notMatch(written, one)
    t.notMatch(written, new RegExp(`["=]${proof}`), 'the code that was used')
  })
}

async function testRequirement(t: Test, database: TestDatabase) {
  await t.test('a required one redirects every page to its setup until it is confirmed', async t => {
    const app = await startUnlimited(t, database, { REQUIRE_SECOND_FACTOR: 'staff', SESSION_LIFETIME: '600' })
    const { browser } = await aPanelUser(app, database, { roles: ['Admin'] })
    const page = await browser.open('/admin')
    t.match(textOf(page), /Your account requires a second factor/)
    t.strictSame(
      [...page.text.matchAll(/<nav.*?<\/nav>/gs)]
        .flatMap(([nav]) => [...nav.matchAll(/href="([^"]*)"/g)])
        .map(([, href]) => href),
      [PATH],
    )
    const made = await browser.submit(page, `${PATH}/enable`, { current_password: PASSWORD })
    t.match(textOf(made), /Your account requires a second factor/)
    t.equal((await browser.bare('GET', '/admin/users')).headers.location, PATH)
    app.clock.advance(181 * MINUTE)
    const hidden = await browser.open('/admin')
    t.match(textOf(hidden), /Your account requires a second factor.*Enter your password/)
    const shown = await browser.submit(hidden, `${PATH}/password`, { current_password: PASSWORD })
    const code = totpCode(shownIn(made, 'secret'), app)
    const done = await browser.submit(shown, `${PATH}/confirm`, { code })
    t.notMatch(textOf(done), /Your account requires/)
    t.equal((await browser.bare('GET', '/admin/users')).status, 200)

    app.clock.advance(MINUTE)
    const question = await browser.submit(await browser.open(PATH), `${PATH}/disable`)
    t.match(textOf(question), /Your account requires a second factor\. Until you have confirmed a new one/)
    const proof = { code: totpCode(shownIn(made, 'secret'), app) }
    await submitAnswer(browser, question, `${PATH}/disable`, proof)
    t.equal((await browser.bare('GET', '/admin/users')).headers.location, PATH)
  })

  await t.test('REQUIRE_SECOND_FACTOR=staff does not affect other users', async t => {
    const app = await startUnlimited(t, database, { REQUIRE_SECOND_FACTOR: 'staff' })
    const { browser } = await aPanelUser(app, database)
    t.notMatch(textOf(await browser.open(PATH)), /Your account requires/)
    t.equal((await browser.bare('GET', '/admin')).status, 200)
  })
}
