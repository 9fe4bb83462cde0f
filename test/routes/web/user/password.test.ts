import t, { type Test } from 'tap'
import { hashPassword } from '#src/auth/password.ts'
import { insertUser } from '#src/database/users.ts'
import { aLoggedInUser, openBrowser, TestBrowser } from '../../../fixtures/browser.ts'
import { MINUTE, NOW } from '../../../fixtures/clock.ts'
import { startHttpService } from '../../../fixtures/http-service.ts'
import { PanelBrowser, textOf } from '../../../fixtures/panel.ts'
import {
  INVALID_RESET_TOKEN,
  NEW_PASSWORD,
  requestResetToken,
  resetPassword,
  withConfirmation,
} from '../../../fixtures/passwords.ts'
import { FORM } from '../../../fixtures/requests.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aUser, PASSWORD, TEST_ROUNDS } from '../../../fixtures/users.ts'
import { requiredError } from '../../../fixtures/validation.ts'
import { get, send, startApp, type TestApp } from '../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../support/databases.ts'

const INPUT = { current_password: PASSWORD, ...withConfirmation(NEW_PASSWORD) }

const change = (browser: TestBrowser, payload: object) => browser.send('PUT', '/user/password', { payload })

for (const engine of ENGINES) {
  t.test(`PUT /user/password on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })

    await t.test('a change sets the password, and does not log it', async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      const { user, browser } = await aLoggedInUser(app, database)
      const answer = await change(browser, INPUT)
      t.equal(answer.status, 200)
      t.equal(answer.text, '""')
      t.match(
        app.logged.find(({ msg }) => msg === 'password changed'),
        { userId: user.id, revokedTokens: false },
      )
      t.notOk(JSON.stringify(app.logged).includes(NEW_PASSWORD))
      const guest = new TestBrowser(app)
      t.equal((await guest.logIn(user)).status, 422, 'the old password is invalid')
      t.equal((await guest.logIn({ ...user, password: NEW_PASSWORD })).status, 200)
    })

    await t.test('a change keeps its session with another id, ends all others, and keeps tokens', async t => {
      const { user, browser } = await aLoggedInUser(app, database)
      const other = new TestBrowser(app)
      await other.logIn(user)
      const copy = browser.clone()
      await change(browser, INPUT)
      t.equal((await browser.get('/api/me')).status, 200)
      t.not(browser.sessionId, copy.sessionId)
      t.equal((await copy.get('/api/me')).status, 401, 'a copied cookie is invalid')
      t.equal((await other.get('/api/me')).status, 401)
      t.equal((await get(app, '/api/me', user.token)).status, 200)
    })

    await t.test('of concurrent changes one succeeds, and its session remains', async t => {
      for (let round = 0; round < 5; round += 1) {
        const { user, browser } = await aLoggedInUser(app, database)
        const other = new TestBrowser(app)
        await other.logIn(user)
        const entered = ['One-horse-1', 'Two-horse-2']
        const answers = await Promise.all(
          [browser, other].map((one, n) => change(one, { ...INPUT, ...withConfirmation(entered[n] ?? '') })),
        )
        const statuses = answers.map(({ status }) => status)
        t.strictSame([...statuses].sort()[0], 200)
        t.equal(statuses.filter(status => status === 200).length, 1)
        const winner = statuses.indexOf(200)
        t.equal((await [browser, other][winner]?.get('/api/me'))?.status, 200)
        t.equal((await new TestBrowser(app).logIn({ ...user, password: entered[winner] ?? '' })).status, 200)
      }
    })

    await t.test('revoke_tokens revokes the tokens of the user', async t => {
      const { user, browser } = await aLoggedInUser(app, database)
      const stranger = await aUser(database)
      const payload = new URLSearchParams({ ...INPUT, revoke_tokens: '1' }).toString()
      const answer = await browser.send('PUT', '/user/password', { headers: FORM, payload })
      t.equal(answer.status, 200)
      t.equal((await get(app, '/api/me', user.token)).status, 401)
      t.equal((await get(app, '/api/me', stranger.token)).status, 200)
      t.equal((await browser.get('/api/me')).status, 200)
    })

    await t.test('REVOKE_TOKENS_ON_PASSWORD_CHANGE revokes them unless the request keeps them', async t => {
      const app = await startApp(t, {
        database,
        environment: { ...UNLIMITED, REVOKE_TOKENS_ON_PASSWORD_CHANGE: 'true' },
      })
      const { user, browser } = await aLoggedInUser(app, database)
      t.equal((await change(browser, { ...INPUT, revoke_tokens: 'perhaps' })).status, 422)
      await change(browser, { ...INPUT, revoke_tokens: false })
      t.equal((await get(app, '/api/me', user.token)).status, 200)
      await change(browser, { current_password: NEW_PASSWORD, ...withConfirmation(PASSWORD) })
      t.equal((await get(app, '/api/me', user.token)).status, 401)
    })

    await t.test('invalid input returns 422 with all fields, and changes nothing', async t => {
      const { user, browser } = await aLoggedInUser(app, database)

      const mismatch = 'The provided password does not match your current password.'
      const required = requiredError('password')
      const unequal = 'The password confirmation does not match.'
      const cases: [payload: object, errors: Record<string, string[]>][] = [
        [{}, { current_password: ['The current password field is required.', mismatch], password: required }],
        [
          { current_password: '', password: '', password_confirmation: '' },
          { current_password: ['The current password field is required.', mismatch], password: required },
        ],
        [{ ...INPUT, current_password: 'wrong' }, { current_password: [mismatch] }],
        [{ ...INPUT, current_password: ` ${PASSWORD}` }, { current_password: [mismatch] }],
        [{ ...INPUT, password_confirmation: `${NEW_PASSWORD} ` }, { password: [unequal] }],
        [{ current_password: PASSWORD, password: NEW_PASSWORD }, { password: [unequal] }],
        [
          { ...INPUT, ...withConfirmation('abc') },
          {
            password: [
              'The password must be at least 8 characters.',
              'The password must contain at least one uppercase and one lowercase letter.',
              'The password must contain at least one symbol.',
              'The password must contain at least one number.',
            ],
          },
        ],
        [
          { ...INPUT, ...withConfirmation(`Aa1-${'x'.repeat(69)}`) },
          { password: ['The password must not be longer than 72 bytes.'] },
        ],
        [
          { ...INPUT, ...withConfirmation('Aa1-xxxx\0') },
          { password: ['The password must not contain a NUL character.'] },
        ],
        [{ ...INPUT, password: ['Aa1-xxxx'] }, { password: ['The password must be a string.'] }],
      ]
      for (const [payload, errors] of cases) {
        const { status, json } = await change(browser, payload)
        t.equal(status, 422, JSON.stringify(payload))
        t.match(json.errors, errors)
        t.strictSame(Object.keys(json.errors), Object.keys(errors))
      }
      const first = 'The current password field is required.'
      t.equal((await change(browser, {})).json.message, `${first} (and 2 more errors)`)
      t.equal((await new TestBrowser(app).logIn(user)).status, 200, 'the password is still valid')
    })

    await t.test('a request without a CSRF token is 419, and with a bearer token 401', async t => {
      const { user, browser } = await aLoggedInUser(app, database)
      t.equal((await browser.bare('PUT', '/user/password', { payload: INPUT })).status, 419)
      const headers = { authorization: `Bearer ${user.token}`, 'sec-fetch-site': 'same-origin' }
      t.equal((await send(app, 'PUT', '/user/password', { headers, payload: INPUT })).status, 401)
    })

    await t.test('wrong current passwords are limited', async t => {
      const app = await startApp(t, { database, environment: { CONFIRM_PASSWORD_RATE_LIMIT: '2' } })
      const { browser } = await aLoggedInUser(app, database)
      const wrong = { ...INPUT, current_password: 'wrong' }
      for (const status of [422, 422, 429]) t.equal((await change(browser, wrong)).status, status)
      t.equal((await change(browser, INPUT)).status, 429)
      app.clock.advance(MINUTE)
      t.equal((await change(browser, INPUT)).status, 200)
    })
  })
}

const COMMON = 'The password is too common. Please choose a different password.'
const REPETITIVE =
  'The password mostly repeats itself or follows a sequence. Please choose a different password.'
const similarTo = (what: string) =>
  `The password is too similar to ${what}. Please choose a different password.`

/** Passwords and their errors, for a user named `Nadia_Fox` with the local part `quillfeather`. */
const GUESSABLE: readonly (readonly [password: string, error: string])[] = [
  ['P@ssw0rd2024!', COMMON],
  ['Passwordpassword', COMMON],
  ['1qaz2wsx3edc4rfv', COMMON],
  ['abcabcabcabcabcabc', REPETITIVE],
  ['zzzzzzzzzzzzzzzz', REPETITIVE],
  ['N@d1a_F0x-2024', similarTo('your name')],
  ['Quillfeather1998!', similarTo('your e-mail address')],
  ['AnimeThemes-1', similarTo('the name of this site')],
  ['Accounts.example-1', similarTo('the name of this site')],
]

let created = 0
/** A name that contains `Nadia_Fox`, and an address with the local part `quillfeather`, that no user has. */
const aName = () => {
  created += 1
  return { name: `Nadia_Fox${created}`, email: `quillfeather@a${created}.example.org` }
}

/** A user with such a name, whose address is verified. */
async function aNamedUser({ kysely }: TestDatabase) {
  const user = aName()
  const hash = await hashPassword(PASSWORD, TEST_ROUNDS)
  await insertUser(kysely, { ...user, password: hash, verified: true, now: NOW })
  return { ...user, password: PASSWORD }
}

const register = async (app: TestApp, password: string, user = aName()) =>
  (await openBrowser(app)).post('/register', { ...user, ...withConfirmation(password), terms: true })

t.test('a new password that is easily guessed', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const start = (t: Test, environment: Record<string, string> = {}) =>
    startApp(t, {
      database,
      environment: { APP_URL: 'http://accounts.example', ...UNLIMITED, ...environment },
    })
  const app = await start(t)

  await t.test('POST /register refuses it', async t => {
    for (const [password, error] of GUESSABLE) {
      const answer = await register(app, password)
      t.equal(answer.status, 422, password)
      t.strictSame(answer.json.errors, { password: [error] })
    }
  })

  await t.test('PUT /user/password refuses it', async t => {
    const browser = await openBrowser(app)
    await browser.logIn(await aNamedUser(database))
    for (const [password, error] of GUESSABLE) {
      const answer = await change(browser, { current_password: PASSWORD, ...withConfirmation(password) })
      t.equal(answer.status, 422, password)
      t.strictSame(answer.json.errors, { password: [error] })
    }
  })

  await t.test('POST /reset-password refuses it, and reveals no name to a wrong token', async t => {
    const { email } = await aNamedUser(database)
    const token = await requestResetToken(app, email)
    const browser = await openBrowser(app)
    const reset = (token: string, password: string) =>
      resetPassword(app, { token, email, ...withConfirmation(password) }, browser)
    for (const [password, error] of GUESSABLE) {
      t.strictSame((await reset(token, password)).json.errors, { password: [error] }, password)
    }
    t.strictSame((await reset('wrong', 'N@d1a_F0x-2024')).json.errors, INVALID_RESET_TOKEN)
    t.equal((await reset(token, NEW_PASSWORD)).status, 200, 'the token is still valid')
  })

  await t.test('the forms of the panel refuse it', async t => {
    const user = await aNamedUser(database)
    const token = await requestResetToken(app, user.email)
    const guest = new PanelBrowser(app)
    const resetPage = await guest.open(`/admin/reset-password?token=${token}`)
    const browser = new PanelBrowser(app)
    await browser.logIn(user)
    const page = await browser.open('/admin/password')
    for (const [password, error] of GUESSABLE) {
      const changed = await browser.submit(page, '/admin/password', {
        current_password: PASSWORD,
        ...withConfirmation(password),
      })
      t.equal(changed.status, 422, password)
      t.ok(textOf(changed).includes(error), password)
      const reset = await guest.submit(resetPage, '/admin/reset-password', {
        email: user.email,
        ...withConfirmation(password),
      })
      t.equal(reset.status, 422, password)
      t.ok(textOf(reset).includes(error), password)
    }
  })

  await t.test('COMMON_PASSWORDS=off accepts common passwords, and no others', async t => {
    const app = await start(t, { COMMON_PASSWORDS: 'off' })
    t.equal((await register(app, 'P@ssw0rd2024!')).status, 201)
    for (const [password, error] of GUESSABLE.filter(([, error]) => error !== COMMON)) {
      t.strictSame((await register(app, password)).json.errors, { password: [error] }, password)
    }
  })

  await t.test('BREACHED_PASSWORDS_URL is not asked about it', async t => {
    const asked: string[] = []
    const url = await startHttpService(t, (request, response) => {
      asked.push(request.url ?? '')
      response.end('')
    })
    const app = await start(t, { BREACHED_PASSWORDS_URL: `${url}/range/` })
    for (const [password] of GUESSABLE) await register(app, password)
    t.strictSame(asked, [])
    t.equal((await register(app, PASSWORD)).status, 201)
    t.equal(asked.length, 1)
  })

  await t.test('a password of fifteen characters needs no classes of characters', async t => {
    for (const password of [
      'correct horse battery staple',
      'dreiundzwanzig rote vogel',
      '482019573821946',
      '日本語日本語の合言葉は長い山川',
    ]) {
      const user = aName()
      t.equal((await register(app, password, user)).status, 201, password)
      t.equal((await new TestBrowser(app).logIn({ ...user, password })).status, 200)
    }
    t.equal((await register(app, 'four rote vogel')).status, 201, 'fifteen characters')
    t.strictSame((await register(app, 'ier rote vogel')).json.errors.password, [
      'The password must contain at least one uppercase and one lowercase letter.',
      'The password must contain at least one number.',
    ])
  })
})
