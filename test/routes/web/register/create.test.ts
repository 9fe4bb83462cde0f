import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { verifyPassword } from '#src/auth/password.ts'
import { ALREADY_AUTHENTICATED, EMAIL_TAKEN, NAME_TAKEN } from '../../../fixtures/answers.ts'
import { openBrowser, TestBrowser } from '../../../fixtures/browser.ts'
import { MINUTE } from '../../../fixtures/clock.ts'
import { changeProfile } from '../../../fixtures/email-changes.ts'
import { startHttpService } from '../../../fixtures/http-service.ts'
import { linkIn } from '../../../fixtures/mailbox.ts'
import { withConfirmation } from '../../../fixtures/passwords.ts'
import { aRegistration, rolesOf, userByEmail } from '../../../fixtures/registration.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { PASSWORD } from '../../../fixtures/users.ts'
import { startApp, type TestApp } from '../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

/** The digest by which lists of leaked passwords name one. */
const sha1 = (password: string) => createHash('sha1').update(password).digest('hex').toUpperCase()
const LEAKED = sha1('Leaked-pass-1')
const UNLEAKED = sha1('Unleaked-pass-1')

const register = async (app: TestApp, change: object = {}) =>
  (await openBrowser(app)).post('/register', aRegistration(change))

for (const engine of ENGINES) {
  t.test(`POST /register on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })

    await t.test('a registration creates an account, logs in, and sends a mail', async t => {
      const app = await startApp(t, { database })
      const name = aRegistration().name
      const input = aRegistration({ email: `${name}.X@Example.ORG` })
      const email = `${name}.X@example.org`
      const browser = await openBrowser(app)

      const before = browser.sessionId

      const answer = await browser.post('/register', input)
      t.equal(answer.status, 201)
      t.equal(answer.text, '""')
      t.equal(answer.headers['x-ratelimit-limit'], '5')
      t.equal(answer.headers['x-ratelimit-remaining'], '4')
      t.not(browser.sessionId, before)

      const user = await userByEmail(database, email)
      t.match(user, { name: input.name, email_verified_at: null, two_factor_secret: null, deleted_at: null })
      t.ok(await verifyPassword(PASSWORD, user?.password ?? ''))
      t.match((await browser.get('/api/me')).json.user, {
        id: user?.id,
        name: input.name,
        email_verified_at: null,
      })
      t.strictSame(await rolesOf(database, user?.id ?? 0), [], 'roles are given once the address is verified')
      const mail = await app.mailbox.next()
      t.strictSame(mail.to, { name: input.name, address: email })
      t.equal(linkIn(mail).pathname.split('/').slice(0, 4).join('/'), `/email/verify/${user?.id}`)
      const logged = JSON.stringify(app.logged)
      t.notOk(logged.includes(PASSWORD))
      t.match(
        app.logged.filter(({ msg }) => msg === 'registered' || msg === 'login'),
        [{ userId: user?.id, address: '127.0.0.1' }, { cause: 'registration' }],
      )
      const stranger = new TestBrowser(app)
      t.equal((await stranger.logIn({ email: email.toLowerCase(), password: PASSWORD })).status, 200)
    })

    await t.test('letters of any script, and 35 of them, are a name', async t => {
      for (const name of ['日本語', 'Zoë_-8', 'x'.repeat(35)]) {
        t.equal((await register(app, { name })).status, 201, name)
      }
    })

    await t.test('any value that is not empty accepts the terms', async t => {
      for (const terms of [false, 'on', 0, [false], { x: 0 }]) {
        t.equal((await register(app, { terms })).status, 201, JSON.stringify(terms))
      }
    })

    await t.test('a name in another Unicode form is the same name', async t => {
      t.equal((await register(app, { name: 'Zo\u00eb_-9' })).status, 201)
      t.match((await register(app, { name: 'Zoe\u0308_-9' })).json.errors, NAME_TAKEN)
    })

    await t.test('an address in another form is the same address', async t => {
      const first = await register(app, { email: 'jos\u00e9.x@example.org', remember: false })
      t.equal(first.status, 201)
      for (const email of [
        'jose\u0301.x@example.org',
        'JOS\u00c9.X@example.org',
        'jos\u00e9.x@EXAMPLE.org.',
        'ｊｏｓé.x@example.org',
      ]) {
        const { status, json } = await register(app, { email })
        t.equal(status, 422, email)
        t.strictSame(json.errors, EMAIL_TAKEN)
        t.equal((await new TestBrowser(app).logIn({ email, password: PASSWORD })).status, 200, 'logs in')
      }
    })

    await t.test('of concurrent registrations of a name one succeeds', async t => {
      const app = await startApp(t, { database, environment: { ...UNLIMITED, HASH_ROUNDS: '6' } })

      const { name } = aRegistration()
      const browsers = await Promise.all([1, 2, 3, 4].map(() => openBrowser(app)))
      const answers = await Promise.all(
        browsers.map(browser => browser.post('/register', aRegistration({ name }))),
      )
      t.strictSame(answers.map(({ status }) => status).sort(), [201, 422, 422, 422])
      t.strictSame(answers.find(({ status }) => status === 422)?.json.errors, NAME_TAKEN)
    })

    await t.test('other columns of a user cannot be set', async t => {
      const input = aRegistration()
      const browser = await openBrowser(app)
      const answer = await browser.post('/register', {
        ...input,
        id: 4711,
        email_verified_at: '2020-01-01 00:00:00',
        two_factor_secret: 'x',
        two_factor_confirmed_at: '2020-01-01 00:00:00',
        remember_token: 'x',
        created_at: '2020-01-01 00:00:00',
        deleted_at: '2020-01-01 00:00:00',
        is_admin: true,
        roles: ['Admin'],
        permissions: ['view filament'],
        __proto__: { admin: true },
      })
      t.equal(answer.status, 201)
      const user = await userByEmail(database, input.email)
      t.match(user, {
        email_verified_at: null,
        two_factor_secret: null,
        remember_token: null,
        deleted_at: null,
      })
      t.not(user?.id, 4711)
      t.match(user?.created_at, /^2026-/)
      t.strictSame(await rolesOf(database, user?.id ?? 0), [])
    })

    await t.test('a request without a CSRF token is 419', async t => {
      const browser = await openBrowser(app)
      t.equal((await browser.bare('POST', '/register', { payload: aRegistration() })).status, 419)
    })

    await t.test('a user who is logged in cannot register', async t => {
      const browser = await openBrowser(app)
      await browser.post('/register', aRegistration())
      const again = await browser.post('/register', aRegistration())
      t.equal(again.status, 200)
      t.strictSame(again.json, ALREADY_AUTHENTICATED)
    })

    await t.test(
      'registrations are limited by the minute, for an e-mail address and for a client',
      async t => {
        const app = await startApp(t, { database, environment: { REGISTER_RATE_LIMIT: '2' } })
        const browser = await openBrowser(app)
        const input = aRegistration({ terms: null })
        const statuses: number[] = []
        for (let n = 0; n < 3; n += 1) statuses.push((await browser.post('/register', input)).status)
        t.strictSame(statuses, [422, 422, 429], 'for an e-mail address')
        for (let n = 0; n < 6; n += 1) await browser.post('/register', aRegistration({ terms: null }))
        t.equal((await browser.post('/register', aRegistration())).status, 429, 'for a client')
      },
    )

    await t.test('a client may create eight accounts an hour', async t => {
      const app = await startApp(t, { database, environment: { REGISTER_RATE_LIMIT: '2' } })
      for (let n = 0; n < 8; n += 1) {
        t.equal((await register(app)).status, 201)
        app.clock.advance(MINUTE)
      }
      const refused = await register(app)
      t.equal(refused.status, 429)
      t.equal(Number(refused.headers['retry-after']), 52 * 60)
      app.clock.advance(52 * MINUTE)
      t.equal((await register(app)).status, 201)
    })

    await t.test(
      'BREACHED_PASSWORDS_URL refuses a leaked password, and is told five digits of its hash',
      async t => {
        const asked: IncomingMessage[] = []
        const service = await startHttpService(t, (request, response) => {
          asked.push(request)
          response.end(`${'0'.repeat(35)}:3\r\n${LEAKED.slice(5)}:12\r\n${UNLEAKED.slice(5)}:0\r\n`)
        })
        const environment = { ...UNLIMITED, BREACHED_PASSWORDS_URL: `${service}/range/` }
        const app = await startApp(t, { database, environment })
        const refused = await register(app, withConfirmation('Leaked-pass-1'))
        t.equal(refused.status, 422)
        t.strictSame(refused.json.errors, {
          password: ['The given password has appeared in a data leak. Please choose a different password.'],
        })
        t.equal(asked[0]?.url, `/range/${LEAKED.slice(0, 5)}`)
        t.equal(asked[0]?.headers['add-padding'], 'true')
        t.equal(
          (await register(app, withConfirmation('Unleaked-pass-1'))).status,
          201,
          'a count of zero is padding',
        )
        t.equal((await register(app, withConfirmation('short'))).status, 422)
        t.equal(asked.length, 2, 'an invalid password is not looked up')
      },
    )

    await t.test('a password passes while BREACHED_PASSWORDS_URL is not available', async t => {
      const service = await startHttpService(t, (_request, response) => response.writeHead(503).end())
      const environment = { ...UNLIMITED, BREACHED_PASSWORDS_URL: `${service}/range/` }
      const app = await startApp(t, { database, environment })
      t.equal((await register(app, withConfirmation('Leaked-pass-1'))).status, 201)
      t.match(
        app.logged.find(({ msg }) => /leaked/.test(String(msg))),
        { level: 40 },
      )
    })

    await t.test('MODERATION_URL refuses a name that it flags', async t => {
      const asked: { input: string; authorization: string | undefined }[] = []
      const service = await startHttpService(t, async (request, response) => {
        const { input } = JSON.parse(await text(request))
        asked.push({ input, authorization: request.headers.authorization })
        response.end(JSON.stringify({ results: [{ flagged: !input.startsWith('fit') }] }))
      })
      const environment = { ...UNLIMITED, MODERATION_URL: service, MODERATION_TOKEN: 'a-token' }
      const app = await startApp(t, { database, environment })
      const { name } = aRegistration()
      const refused = await register(app, { name })
      t.equal(refused.status, 422)
      t.strictSame(refused.json.errors, { name: ['The name field does not comply with usage policy.'] })
      t.strictSame(asked, [{ input: name, authorization: 'Bearer a-token' }])
      const browser = await openBrowser(app)
      const fit = aRegistration({ name: `fit-${name}` })
      t.equal((await browser.post('/register', fit)).status, 201)
      t.equal((await changeProfile(browser, { name: 'unfit' })).status, 422, 'another name is checked, too')
    })

    await t.test('a name passes while MODERATION_URL gives no valid answer', async t => {
      let answer: [status: number, body: unknown] = [200, {}]
      const service = await startHttpService(t, (_request, response) =>
        response.writeHead(answer[0]).end(JSON.stringify(answer[1])),
      )
      const environment = { ...UNLIMITED, MODERATION_URL: service, MODERATION_TOKEN: 'a-token' }
      const app = await startApp(t, { database, environment })
      for (const invalid of [
        [404, {}],
        [200, {}],
        [200, null],
      ] as [number, unknown][]) {
        answer = invalid
        t.equal((await register(app)).status, 201, JSON.stringify(invalid))
      }
    })

    await t.test('MODERATION_URL is asked sixty times a minute at most', async t => {
      let asked = 0
      const service = await startHttpService(t, (_request, response) => {
        asked += 1
        response.end(JSON.stringify({ results: [{ flagged: asked > 1 }] }))
      })
      const environment = { ...UNLIMITED, MODERATION_URL: service, MODERATION_TOKEN: 'a-token' }
      const app = await startApp(t, { database, environment })
      const browser = await openBrowser(app)
      t.equal((await browser.post('/register', aRegistration())).status, 201)
      for (let n = 1; n < 60; n += 1) await changeProfile(browser, { name: `unfit-${n}` })
      t.equal((await changeProfile(browser, { name: 'unasked' })).status, 200)
      t.equal(asked, 60)
    })
  })
}
