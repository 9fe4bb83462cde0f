import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { verifyPassword } from '#src/auth/password.ts'
import { emailHash, signLink } from '#src/auth/signed-link.ts'
import { verifyEmail } from '#src/database/users.ts'
import { SPA, TestBrowser } from '../../fixtures/browser.ts'
import { MINUTE } from '../../fixtures/clock.ts'
import { linkIn } from '../../fixtures/mailbox.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aMember, aUser, PASSWORD, USER_TYPE } from '../../fixtures/users.ts'
import { get, send, startApp, TEST_KEY, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

/** How lists of leaked passwords name one. */
const sha1 = (password: string) => createHash('sha1').update(password).digest('hex').toUpperCase()
const LEAKED = sha1('Leaked-pass-1')
const UNLEAKED = sha1('Unleaked-pass-1')

let last = 0
/** What somebody fills in who registers. */
const form = (change: object = {}) => {
  last += 1
  const name = `new-comer_${last}`
  return {
    name,
    email: `${name}@example.org`,
    password: PASSWORD,
    password_confirmation: PASSWORD,
    terms: true,
    ...change,
  }
}

for (const engine of ENGINES) {
  t.test(`registration on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await registering(t, database)
    await verifying(t, database)
    await changing(t, database)
  })
}

/** A browser that has fetched its cookies. */
async function open(app: TestApp): Promise<TestBrowser> {
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  return browser
}

const row = ({ kysely }: TestDatabase, email: string) =>
  kysely.selectFrom('users').selectAll().where('email', '=', email).executeTakeFirst()

const rolesOf = async ({ kysely }: TestDatabase, userId: number) => {
  const rows = await kysely
    .selectFrom('model_has_roles')
    .innerJoin('roles', 'roles.id', 'model_has_roles.role_id')
    .select('roles.name')
    .where('model_id', '=', userId)
    .execute()
  return rows.map(({ name }) => name)
}

async function registering(t: Test, database: TestDatabase) {
  await t.test('an account is made, its user logged in, and a mail sent', async t => {
    const app = await startApp(t, { database })
    const browser = await open(app)
    const before = browser.sessionId
    const input = form({ email: 'First.Comer@Example.ORG' })
    const answer = await browser.post('/register', input)
    t.equal(answer.status, 201)
    t.equal(answer.text, '""')
    t.equal(answer.headers['x-ratelimit-limit'], '5')
    t.equal(answer.headers['x-ratelimit-remaining'], '4')
    t.not(browser.sessionId, before)

    const user = await row(database, 'First.Comer@example.org')
    t.match(user, { name: input.name, email_verified_at: null, two_factor_secret: null, deleted_at: null })
    t.ok(await verifyPassword(PASSWORD, user?.password ?? ''))
    t.match((await browser.get('/api/me')).json.user, {
      id: user?.id,
      name: input.name,
      email_verified_at: null,
    })
    t.strictSame(await rolesOf(database, user?.id ?? 0), [], 'there are no roles yet')
    const mail = await app.mailbox.next()
    t.strictSame(mail.to, { name: input.name, address: 'First.Comer@example.org' })
    t.equal(linkIn(mail).pathname.split('/').slice(0, 4).join('/'), `/email/verify/${user?.id}`)
    const logged = JSON.stringify(app.logged)
    t.notOk(logged.includes(PASSWORD))
    t.match(
      app.logged.filter(({ msg }) => msg === 'registered' || msg === 'login'),
      [{ userId: user?.id, address: '127.0.0.1' }, { cause: 'registration' }],
    )
    const stranger = new TestBrowser(app)
    t.equal((await stranger.logIn({ email: 'first.comer@example.org', password: PASSWORD })).status, 200)
  })

  await t.test('what is wrong is told at once, and nothing is made', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const taken = await aUser(database)
    const browser = await open(app)
    const required = (field: string) => [`The ${field} field is required.`]
    const dashes = 'The name must only contain letters, numbers, dashes and underscores.'
    const notEmail = 'The email must be a valid email address.'
    const disposable = 'Disposable email addresses are not allowed.'
    const cases: [change: object, errors: Record<string, string[]>][] = [
      [
        { name: '', email: ' ', password: '', password_confirmation: '', terms: '' },
        {
          name: required('name'),
          email: required('email'),
          password: required('password'),
          terms: required('terms'),
        },
      ],
      [{ name: null }, { name: required('name') }],
      [{ terms: null }, { terms: required('terms') }],
      [{ name: 'not a name' }, { name: [dashes] }],
      [{ name: 'name!' }, { name: [dashes] }],
      [{ name: 'nul\0' }, { name: [dashes] }],
      [{ name: '\ud800' }, { name: [dashes] }],
      [{ name: 'x'.repeat(36) }, { name: ['The name must not be greater than 35 characters.'] }],
      [{ name: taken.name.toUpperCase() }, { name: ['The name has already been taken.'] }],
      [{ email: taken.email.toUpperCase() }, { email: ['The email has already been taken.'] }],
      [{ email: `${taken.email}.` }, { email: ['The email has already been taken.'] }],
      [{ email: 'nobody' }, { email: [notEmail] }],
      [{ email: 'a@b@c' }, { email: [notEmail] }],
      [{ email: 'a@b.test\r\nBcc: c@d.test' }, { email: [notEmail] }],
      [{ email: 'nul\0@example.org' }, { email: [notEmail] }],
      [
        { email: `${'x'.repeat(64)}@${'a.'.repeat(96)}example.org` },
        { email: ['The email must not be greater than 255 characters.'] },
      ],
      [
        { email: `a@${'a.'.repeat(30_000)}!` },
        { email: ['The email must not be greater than 255 characters.'] },
      ],
      [{ name: '\u0301'.repeat(15_000) + '\u0323'.repeat(15_000) }, { name: [] }],
      [{ email: 'somebody@mailinator.com' }, { email: [disposable] }],
      [{ email: 'somebody@inbox.MAILINATOR.com' }, { email: [disposable] }],
      [{ password: 'x' }, { password: ['The password must be at least 8 characters.'] }],
      [{ password_confirmation: 'x' }, { password: ['The password confirmation does not match.'] }],
      [{ name: ['x'] }, { name: ['The name must be a string.'] }],
      [{ email: { x: 1 } }, { email: ['The email must be a string.'] }],
      [{ email: 1 }, { email: ['The email must be a string.'] }],
      [{ password: 12_345_678 }, { password: ['The password must be a string.'] }],
    ]
    const countUsers = async () => (await database.kysely.selectFrom('users').select('id').execute()).length
    const before = await countUsers()
    for (const [change, errors] of cases) {
      const { status, json } = await browser.post('/register', form(change))
      const label = JSON.stringify(change).slice(0, 100)
      t.equal(status, 422, label)
      t.match(json?.errors, errors, label)
      t.strictSame(Object.keys(json?.errors ?? {}), Object.keys(errors), label)
    }
    t.equal(
      (await browser.post('/register', {})).json.message,
      'The name field is required. (and 3 more errors)',
    )
    for (const payload of ['[]', '"text"', 'null']) {
      const headers = { 'content-type': 'application/json' }
      t.equal((await browser.send('POST', '/register', { payload, headers })).status, 422, payload)
    }
    t.equal(await countUsers(), before)
    t.strictSame(app.mailbox.mails, [])
    t.equal((await browser.get('/api/me')).status, 401)
  })

  await t.test('what may be a name, and what counts as terms', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    for (const change of [
      { name: '日本語' },
      { name: 'Zoë_-9' },
      { name: 'x'.repeat(35) },
      { terms: false },
      { terms: 'on' },
      { terms: 0 },
    ]) {
      const browser = await open(app)
      t.equal((await browser.post('/register', form(change))).status, 201, JSON.stringify(change))
    }
    const browser = await open(app)
    const composed = await browser.post('/register', form({ name: 'Zoe\u0308_-9' }))
    t.match(
      composed.json.errors,
      { name: ['The name has already been taken.'] },
      'the same letters are the same name',
    )
  })

  await t.test('51 one mailbox has one account, however it is written', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const first = { ...form({ email: 'jos\u00e9.x@example.org' }), remember: false }
    t.equal((await (await open(app)).post('/register', first)).status, 201)
    for (const email of [
      'jose\u0301.x@example.org',
      'JOS\u00c9.X@example.org',
      'jos\u00e9.x@EXAMPLE.org.',
      'ｊｏｓé.x@example.org',
    ]) {
      const { status, json } = await (await open(app)).post('/register', form({ email }))
      t.equal(status, 422, email)
      t.strictSame(json.errors, { email: ['The email has already been taken.'] })
      t.equal((await new TestBrowser(app).logIn({ email, password: PASSWORD })).status, 200, 'and logs in')
    }
  })

  await t.test('of two who take a name at the same time, one gets it', async t => {
    const app = await startApp(t, { database, environment: { ...UNLIMITED, HASH_ROUNDS: '6' } })
    const { name } = form()
    const browsers = await Promise.all([1, 2, 3, 4].map(() => open(app)))
    const answers = await Promise.all(browsers.map(browser => browser.post('/register', form({ name }))))
    t.strictSame(answers.map(({ status }) => status).sort(), [201, 422, 422, 422])
    t.strictSame(answers.find(({ status }) => status === 422)?.json.errors, {
      name: ['The name has already been taken.'],
    })
  })

  await t.test('39 nothing else can be set', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const input = form()
    const browser = await open(app)
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
    const user = await row(database, input.email)
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

  await t.test('4 not by a page of somebody else, and not by who is logged in', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const browser = await open(app)
    t.equal((await browser.bare('POST', '/register', { payload: form() })).status, 419)
    await browser.post('/register', form())
    const again = await browser.post('/register', form())
    t.equal(again.status, 200)
    t.strictSame(again.json, { error: 'Already authenticated.' })
  })

  await t.test('is limited, by the minute and by the hour', async t => {
    const app = await startApp(t, { database, environment: { REGISTER_RATE_LIMIT: '2' } })
    const browser = await open(app)
    const input = form({ terms: null })
    const statuses: number[] = []
    for (let n = 0; n < 3; n += 1) statuses.push((await browser.post('/register', input)).status)
    t.strictSame(statuses, [422, 422, 429], 'for an e-mail address')
    for (let n = 0; n < 6; n += 1) await browser.post('/register', form({ terms: null }))
    t.equal((await browser.post('/register', form())).status, 429, 'for an address')
    app.clock.advance(MINUTE)
    for (let n = 0; n < 8; n += 1) {
      t.equal((await (await open(app)).post('/register', form())).status, 201)
      app.clock.advance(MINUTE)
    }
    const refused = await (await open(app)).post('/register', form())
    t.equal(refused.status, 429, 'eight new accounts an hour')
    t.equal(Number(refused.headers['retry-after']), 52 * 60)
    app.clock.advance(52 * MINUTE)
    t.equal((await (await open(app)).post('/register', form())).status, 201)
  })

  await t.test('a password that has leaked is refused, if somebody knows', async t => {
    const asked: IncomingMessage[] = []
    let isUp = true
    const service = await serve(t, (request, response) => {
      asked.push(request)
      if (!isUp) response.writeHead(503).end()
      else response.end(`${'0'.repeat(35)}:3\r\n${LEAKED.slice(5)}:12\r\n${UNLEAKED.slice(5)}:0\r\n`)
    })
    const app = await startApp(t, {
      database,
      environment: { ...UNLIMITED, BREACHED_PASSWORDS_URL: `${service}/range/` },
    })
    const register = async (password: string) =>
      (await open(app)).post('/register', form({ password, password_confirmation: password }))
    const refused = await register('Leaked-pass-1')
    t.equal(refused.status, 422)
    t.strictSame(refused.json.errors, {
      password: ['The given password has appeared in a data leak. Please choose a different password.'],
    })
    t.equal(asked[0]?.url, `/range/${LEAKED.slice(0, 5)}`, 'five digits are all that is told')
    t.equal(asked[0]?.headers['add-padding'], 'true')
    t.equal((await register('Unleaked-pass-1')).status, 201, 'a count of nought is padding')
    t.equal((await register('short')).status, 422)
    t.equal(asked.length, 2, 'one that is refused anyway is not asked about')
    isUp = false
    t.equal((await register('Leaked-pass-1')).status, 201, 'without an answer it passes')
    t.match(
      app.logged.find(({ msg }) => /leaked/.test(String(msg))),
      { level: 40 },
    )
  })

  await t.test('a name that is unfit is refused, if somebody knows', async t => {
    const asked: { input: string; authorization: string | undefined }[] = []
    let answer: [status: number, body: unknown] = [200, { results: [{ flagged: true }] }]
    const service = await serve(t, async (request, response) => {
      asked.push({ ...JSON.parse(await text(request)), authorization: request.headers.authorization })
      response.writeHead(answer[0]).end(JSON.stringify(answer[1]))
    })
    const app = await startApp(t, {
      database,
      environment: { ...UNLIMITED, MODERATION_URL: service, MODERATION_TOKEN: 'a-token' },
    })
    const input = form()
    const refused = await (await open(app)).post('/register', input)
    t.equal(refused.status, 422)
    t.strictSame(refused.json.errors, { name: ['The name field does not comply with usage policy.'] })
    t.strictSame(asked, [{ input: input.name, authorization: 'Bearer a-token' }])
    answer = [200, { results: [{ flagged: false }] }]
    const browser = await open(app)
    t.equal((await browser.post('/register', form())).status, 201)
    for (const broken of [
      [404, {}],
      [200, {}],
      [200, null],
    ] as [number, unknown][]) {
      answer = broken
      t.equal((await (await open(app)).post('/register', form())).status, 201, 'without an answer it passes')
    }
    answer = [200, { results: [{ flagged: true }] }]
    const rename = (name: string) => browser.send('PUT', '/user/profile-information', { payload: { name } })
    t.equal((await rename('unfit')).status, 422)
    for (let n = asked.length; n < 60; n += 1) await rename(`unfit-${n}`)
    t.equal((await rename('unfit')).status, 200, 'sixty times a minute')
    t.equal(asked.length, 60)
  })
}

async function verifying(t: Test, database: TestDatabase) {
  /** Somebody who has just registered, and the link that came by mail. */
  const registered = async (t: Test, environment: Record<string, string> = {}) => {
    const app = await startApp(t, { database, environment: { ...UNLIMITED, ...environment } })
    const browser = await open(app)
    const input = form()
    t.equal((await browser.post('/register', input)).status, 201)
    const user = await row(database, input.email)
    const link = linkIn(await app.mailbox.next())
    return { app, browser, input, id: user?.id ?? 0, link }
  }
  const follow = (browser: TestBrowser, { pathname, search }: URL, headers: Record<string, string> = {}) =>
    browser.bare('GET', pathname + search, { headers })
  const PAGE = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }

  await t.test('the link of the mail verifies the address, and gives the default roles', async t => {
    const { app, browser, input, id, link } = await registered(t)
    t.equal(link.origin, 'http://127.0.0.1:8000')
    const answer = await follow(browser, link)
    t.equal(answer.status, 204)
    t.equal((await row(database, input.email))?.email_verified_at, '2026-03-01 12:00:00')
    t.strictSame(await rolesOf(database, id), ['Verified'])
    t.equal((await browser.get('/api/me')).json.user.email_verified_at, '2026-03-01T12:00:00.000000Z')
    t.match(
      app.logged.find(({ msg }) => msg === 'email verified'),
      { userId: id },
    )
    app.clock.advance(MINUTE)
    t.equal((await follow(browser, link)).status, 204, 'once more changes nothing')
    const late = await registered(t)
    const changed = { userId: late.id, email: 'before@example.org', types: [USER_TYPE] } as const
    t.equal(
      await verifyEmail(database.kysely, changed, app.clock()),
      false,
      'nor does one that comes after a change',
    )
    t.equal((await row(database, input.email))?.email_verified_at, '2026-03-01 12:00:00')
    const resend = await browser.post('/email/verification-notification')
    t.equal(resend.status, 204, 'and there is nothing to send any more')
    t.equal(app.mailbox.mails.length, 1)
    t.notOk(
      JSON.stringify(app.logged).includes(link.searchParams.get('signature') ?? '?'),
      'links are not logged',
    )
  })

  await t.test('a browser lands on the website', async t => {
    const { browser, link } = await registered(t, { FRONTEND_URL: 'https://www.example.org/wiki?a=b' })
    const answer = await follow(browser, link, PAGE)
    t.equal(answer.status, 302)
    t.equal(answer.headers.location, 'https://www.example.org/wiki?a=b&verified=1')
    t.equal((await browser.get('/api/me')).json.user.email_verified_at !== null, true)
  })

  await t.test('27 nowhere else, whatever the request asks for', async t => {
    const { app, browser, input, link } = await registered(t)
    const elsewhere = 'redirect=https%3A%2F%2Fevil.test&intended=https%3A%2F%2Fevil.test&next=//evil.test'
    const headers = { ...PAGE, 'x-forwarded-host': 'evil.test', 'x-original-url': 'https://evil.test' }
    const changed = await browser.bare('GET', `${link.pathname}${link.search}&${elsewhere}`, { headers })
    t.equal(changed.status, 403)
    const followed = await follow(browser, link, {
      ...headers,
      host: 'evil.test',
      referer: `${SPA}/?${elsewhere}`,
    })
    t.equal(followed.headers.location, 'http://localhost:3000/?verified=1')
    const stranger = new TestBrowser(app)
    const page = await stranger.bare('GET', `${link.pathname}${link.search}&${elsewhere}`, { headers })
    t.equal(page.headers.location, 'http://localhost:3000/login')
    const login = await (await open(app)).post(`/login?${elsewhere}`, {
      ...input,
      redirect: 'https://evil.test',
    })
    t.equal(login.status, 200)
    t.equal(login.headers.location, undefined)
  })

  await t.test('only in a session of the very user', async t => {
    const { app, input, link } = await registered(t)
    const stranger = await registered(t)
    const refused = await follow(stranger.browser, link)
    t.equal(refused.status, 403)
    t.strictSame(refused.json, { message: 'This action is unauthorized.' })
    t.equal((await follow(new TestBrowser(app), link)).status, 401)
    const page = await follow(new TestBrowser(app), link, PAGE)
    t.equal(page.status, 302)
    t.equal(page.headers.location, 'http://localhost:3000/login')
    t.equal((await row(database, input.email))?.email_verified_at, null)
  })

  await t.test('26 a link that was changed verifies nothing', async t => {
    const { app, browser, input, id, link } = await registered(t, { APP_URL: 'https://api.example.org' })
    const [expires, signature] = [link.searchParams.get('expires'), link.searchParams.get('signature') ?? '']
    const searches = [
      '',
      `?expires=${expires}`,
      `?signature=${signature}&expires=${expires}`,
      `?expires=${expires}&signature=${signature}&a=b`,
      `?expires=${expires}&expires=${expires}&signature=${signature}`,
      `?expires[]=${expires}&signature=${signature}`,
      `?expires=${Number(expires) + 1}&signature=${signature}`,
      `?expires=${expires}&signature=${signature.toUpperCase()}`,
      `?expires=${expires}&signature[]=${signature}`,
    ]
    const refused = async (url: string, why: string) => {
      app.clock.advance(MINUTE / 6)
      const answer = await browser.bare('GET', url, { headers: { host: 'api.example.org' } })
      t.equal(answer.status, 403, why)
    }
    for (const search of searches) await refused(`${link.pathname}${search}`, search)
    await refused(`${link.pathname.replace(`/${id}/`, `/${id + 1}/`)}${link.search}`, 'another id')
    await refused(`${link.pathname.slice(0, -1)}0${link.search}`, 'another hash')
    await refused(`${link.pathname}/${link.search}`, 'a slash')
    const plain = signLink(`http://api.example.org${link.pathname}`, Number(expires) * 1000, TEST_KEY)
    await refused(new URL(plain).pathname + new URL(plain).search, 'another scheme')
    const foreign = signLink(`https://evil.example${link.pathname}`, Number(expires) * 1000, TEST_KEY)
    await refused(new URL(foreign).pathname + new URL(foreign).search, 'another host')
    const others = signLink(
      `https://api.example.org/email/verify/${id}/${'0'.repeat(40)}`,
      Number(expires) * 1000,
      TEST_KEY,
    )
    await refused(new URL(others).pathname + new URL(others).search, 'of another address, signed')
    const another = signLink(
      `https://api.example.org/email/verify/${id + 1}/${emailHash(input.email)}`,
      Number(expires) * 1000,
      TEST_KEY,
    )
    await refused(new URL(another).pathname + new URL(another).search, 'of another user, signed')
    app.clock.advance(61 * MINUTE)
    await refused(link.pathname + link.search, 'too old')
    t.equal((await row(database, input.email))?.email_verified_at, null)
  })

  await t.test('a link that was signed with a previous key counts', async t => {
    const { browser, link, input, app } = await registered(t)
    await app.close()
    const later = await startApp(t, {
      database,
      environment: {
        APP_KEY: `base64:${Buffer.alloc(32, 'another key').toString('base64')}`,
        APP_PREVIOUS_KEYS: TEST_KEY,
      },
    })
    const again = new TestBrowser(later)
    await again.logIn(input)
    t.equal((await follow(again, link)).status, 204)
    t.ok(browser)
  })

  await t.test('25 links name this server as configured, whatever host is asked for', async t => {
    const app = await startApp(t, {
      database,
      environment: { ...UNLIMITED, TRUSTED_PROXIES: 'loopback', AUTH_PATH: '/auth' },
    })
    const browser = new TestBrowser(app)
    const headers = { host: 'evil.test', 'x-forwarded-host': 'evil.test', 'x-forwarded-proto': 'https' }
    await browser.bare('GET', '/sanctum/csrf-cookie', { headers })
    t.equal((await browser.post('/auth/register', form(), { headers })).status, 201)
    const link = linkIn(await app.mailbox.next())
    t.equal(link.origin, 'http://127.0.0.1:8000')
    t.match(link.pathname, /^\/auth\/email\/verify\//)
    t.equal((await follow(browser, link)).status, 204)
  })

  await t.test('another mail can be asked for, so and so often', async t => {
    const { app, browser } = await registered(t)
    const statuses: number[] = []
    for (let n = 0; n < 7; n += 1)
      statuses.push((await browser.post('/email/verification-notification')).status)
    t.strictSame(statuses, [202, 202, 202, 202, 202, 202, 429])
    await app.close()
    t.equal(app.mailbox.mails.length, 5, 'nobody gets more than five an hour')
  })

  await t.test('asking takes a session', async t => {
    const app = await startApp(t, { database })
    const user = await aUser(database)
    t.equal((await (await open(app)).post('/email/verification-notification')).status, 401)
    const headers = {
      authorization: `Bearer ${user.token}`,
      referer: `${SPA}/`,
      'sec-fetch-site': 'same-origin',
    }
    t.equal((await send(app, 'POST', '/email/verification-notification', { headers })).status, 401)
    t.equal((await get(app, '/api/me', user.token)).status, 200)
  })
}

async function changing(t: Test, database: TestDatabase) {
  const loggedIn = async (t: Test, environment: Record<string, string> = {}) => {
    const app = await startApp(t, {
      database,
      environment: { ...UNLIMITED, EMAIL_CHANGE: 'immediate', ...environment },
    })
    const user = await aMember(database)
    const browser = new TestBrowser(app)
    await browser.logIn(user)
    const change = (payload: object) => browser.send('PUT', '/user/profile-information', { payload })
    return { app, user, browser, change }
  }

  await t.test('the name can be changed', async t => {
    const { app, user, browser, change } = await loggedIn(t)
    const { name } = form()
    const answer = await change({ name })
    t.equal(answer.status, 200)
    t.equal(answer.text, '""')
    const { json } = await browser.get('/api/me')
    t.equal(json.user.name, name)
    t.ok(json.user.email_verified_at, 'the address stays verified')
    t.equal((await change({ name: name.toUpperCase() })).status, 200, "one's own may change its case")
    t.equal((await change({ name, email: user.email })).status, 200, 'and the same address is no change')
    t.ok((await browser.get('/api/me')).json.user.email_verified_at)
    t.strictSame(app.mailbox.mails, [])
    t.match(
      app.logged.find(({ msg }) => msg === 'profile changed'),
      { userId: user.id, name: true, email: false },
    )
  })

  await t.test('another e-mail address has to be verified, and the old one is told', async t => {
    const { app, user, browser, change } = await loggedIn(t)
    const { email } = form()
    t.equal((await change({ email })).status, 200)
    t.match((await browser.get('/api/me')).json.user, { name: user.name, email, email_verified_at: null })
    const [verification, notice] = [await app.mailbox.next(), await app.mailbox.next()]
    t.strictSame(verification.to, { name: user.name, address: email })
    t.strictSame(notice.to, { name: user.name, address: user.email })
    t.notMatch(notice.text, /http/, 'which has no business with the new one')
    const { pathname, search } = linkIn(verification)
    t.equal((await browser.get(pathname + search)).status, 204)
    t.ok((await browser.get('/api/me')).json.user.email_verified_at)
  })

  await t.test('an address in another form is the same, and stays as it is', async t => {
    const { app, user, browser, change } = await loggedIn(t, { CONFIRM_EMAIL_CHANGE: 'true' })
    const written = user.email.replace('example.org', 'Example.ORG')
    await database.kysely.updateTable('users').set({ email: written }).where('id', '=', user.id).execute()
    for (const email of [written, user.email]) {
      t.equal((await change({ name: form().name, email })).status, 200)
      t.match((await browser.get('/api/me')).json.user, { email: written, email_verified_at: /^2026/ })
    }
    t.equal((await change({ email: written })).status, 200, 'and alone it is no fault')
    t.strictSame(app.mailbox.mails, [])
  })

  await t.test('nobody is flooded with mails, nor asked which addresses there are', async t => {
    const { app, user, change } = await loggedIn(t)
    const [first, second] = [form().email, form().email]
    for (let n = 0; n < 14; n += 1)
      t.equal((await change({ email: n % 2 === 0 ? first : second })).status, 200)
    await app.close()
    const count = (address: string) => app.mailbox.mails.filter(({ to }) => to.address === address).length
    t.equal(count(user.email), 1)
    t.equal(count(first), 5)
    t.equal(count(second), 5, 'an address that was never verified hears of no change')
    const limited = await loggedIn(t, { REGISTER_RATE_LIMIT: '1' })
    const statuses: number[] = []
    for (let n = 0; n < 5; n += 1)
      statuses.push((await limited.change({ name: '!', email: form().email })).status)
    t.strictSame(statuses, [422, 422, 422, 422, 429])
    t.equal((await limited.change({ name: form().name })).status, 200)
  })

  await t.test('a link for the address before verifies nothing', async t => {
    const { app, browser, change } = await loggedIn(t)
    const [first, second] = [form(), form()]
    await change({ email: first.email })
    const { pathname, search } = linkIn(await app.mailbox.next())
    await app.mailbox.next()
    await change({ email: second.email })
    t.equal((await browser.get(pathname + search)).status, 403)
    t.equal((await browser.get('/api/me')).json.user.email_verified_at, null)
  })

  await t.test('what is wrong is told at once, and nothing changes', async t => {
    const { user, browser, change } = await loggedIn(t)
    const taken = await aUser(database)
    const cases: [payload: object, errors: Record<string, string[]>][] = [
      [
        {},
        {
          name: ['The name field is required when email is not present.'],
          email: ['The email field is required when name is not present.'],
        },
      ],
      [
        { name: 'no name', email: 'no address' },
        { name: [], email: [] },
      ],
      [{ name: taken.name.toUpperCase() }, { name: ['The name has already been taken.'] }],
      [{ email: taken.email.toUpperCase() }, { email: ['The email has already been taken.'] }],
      [{ name: form().name, email: taken.email }, { email: ['The email has already been taken.'] }],
      [{ email: 'x@mailinator.com' }, { email: ['Disposable email addresses are not allowed.'] }],
      [{ name: 1 }, { name: ['The name must be a string.'] }],
    ]
    for (const [payload, errors] of cases) {
      const { status, json } = await change(payload)
      t.equal(status, 422, JSON.stringify(payload))
      t.match(json.errors, errors)
      t.strictSame(Object.keys(json.errors), Object.keys(errors))
    }
    t.match((await browser.get('/api/me')).json.user, { name: user.name, email: user.email })
  })

  await t.test('39 nothing else can be set', async t => {
    const { user, change } = await loggedIn(t)
    const { name } = form()
    const before = await row(database, user.email)
    t.equal(
      (
        await change({
          name,
          id: 1,
          password: 'x',
          email_verified_at: null,
          two_factor_secret: 'x',
          deleted_at: '2020-01-01 00:00:00',
          roles: ['Admin'],
        })
      ).status,
      200,
    )
    const named = { updated_at: '', name: '', name_key: '', name_skeleton: '' }
    t.strictSame({ ...(await row(database, user.email)), ...named }, { ...before, ...named })
  })

  await t.test('42 another address takes the password, if that is the rule', async t => {
    const { user, browser, change } = await loggedIn(t, { CONFIRM_EMAIL_CHANGE: 'true' })
    const { name, email } = form()
    t.equal((await change({ name })).status, 200, 'a name does not')
    const refused = await change({ name, email })
    t.equal(refused.status, 423)
    t.strictSame(refused.json, { message: 'Password confirmation required.' })
    t.equal((await browser.get('/api/me')).json.user.email, user.email)
    await browser.post('/user/confirm-password', { password: PASSWORD })
    t.equal((await change({ name, email })).status, 200)
  })

  await t.test('only by the session that proves itself', async t => {
    const { app, user, browser } = await loggedIn(t)
    const payload = { name: form().name }
    t.equal((await browser.bare('PUT', '/user/profile-information', { payload })).status, 419)
    const headers = { authorization: `Bearer ${user.token}`, 'sec-fetch-site': 'same-origin' }
    t.equal((await send(app, 'PUT', '/user/profile-information', { headers, payload })).status, 401)
  })
}

/** Serves whatever an outside service would answer, and returns its address. */
async function serve(t: Test, handle: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(handle as never)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : address}`
}
