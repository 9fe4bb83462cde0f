import t, { type Test } from 'tap'
import { emailHash, signLink } from '#src/auth/signed-link.ts'
import { verifyEmail } from '#src/database/users.ts'
import { UNAUTHORIZED } from '../../../fixtures/answers.ts'
import { openBrowser, SPA, TestBrowser } from '../../../fixtures/browser.ts'
import { MINUTE } from '../../../fixtures/clock.ts'
import { openLink } from '../../../fixtures/email-changes.ts'
import { linkIn } from '../../../fixtures/mailbox.ts'
import { PanelBrowser } from '../../../fixtures/panel.ts'
import { aRegistration, rolesOf, userByEmail } from '../../../fixtures/registration.ts'
import { answerChallenge, aUserWithSecondFactor, totpCode } from '../../../fixtures/second-factor.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aUser, USER_TYPE } from '../../../fixtures/users.ts'
import { get, send, startApp, TEST_KEY, type TestApp } from '../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../support/databases.ts'

/** What a browser that opens a page accepts. */
const PAGE = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }

/** A user who has just registered, and the link of the mail that verifies the address. */
async function aRegisteredUser(t: Test, app: TestApp, database: TestDatabase) {
  const browser = await openBrowser(app)
  const input = aRegistration()
  t.equal((await browser.post('/register', input)).status, 201, 'the user is registered')
  const user = await userByEmail(database, input.email)
  const link = linkIn(await app.mailbox.nextTo(input.email))
  return { browser, input, id: user?.id ?? 0, link }
}

for (const engine of ENGINES) {
  t.test(`GET /email/verify on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const start = (environment: Record<string, string> = {}) =>
      startApp(t, { database, environment: { ...UNLIMITED, ...environment } })
    const app = await start()
    const verifiedAt = async (email: string) => (await userByEmail(database, email))?.email_verified_at

    await t.test('the link of the mail verifies the address, and grants the default roles', async t => {
      const { browser, input, id, link } = await aRegisteredUser(t, app, database)
      t.equal(link.origin, 'http://localhost:8000')
      t.equal((await openLink(browser, link)).status, 204)
      t.equal(await verifiedAt(input.email), '2026-03-01 12:00:00')
      t.strictSame(await rolesOf(database, id), ['Verified'])
      t.equal((await browser.get('/api/me')).json.user.email_verified_at, '2026-03-01T12:00:00.000000Z')
      t.match(
        app.logged.find(({ msg, userId }) => msg === 'email verified' && userId === id),
        { userId: id },
      )
      const signature = link.searchParams.get('signature') ?? '?'
      t.notOk(JSON.stringify(app.logged).includes(signature), 'links are not logged')
    })

    await t.test('a link that is opened twice changes nothing, and no further mail is sent', async t => {
      const app = await start()
      const { browser, input, link } = await aRegisteredUser(t, app, database)
      t.equal((await openLink(browser, link)).status, 204)
      app.clock.advance(MINUTE)
      t.equal((await openLink(browser, link)).status, 204)
      t.equal(await verifiedAt(input.email), '2026-03-01 12:00:00')
      t.equal((await browser.post('/email/verification-notification')).status, 204)
      t.equal(app.mailbox.mails.length, 1)
    })

    await t.test('an address that has changed since is not verified', async t => {
      const { id } = await aRegisteredUser(t, app, database)
      const before = { userId: id, email: 'before@example.org', types: [USER_TYPE] } as const
      t.equal(await verifyEmail(database.kysely, before, app.clock()), false)
    })

    await t.test('a browser that opens the link is redirected to the website', async t => {
      const app = await start({ FRONTEND_URL: 'https://www.example.org/wiki?a=b' })
      const { browser, link } = await aRegisteredUser(t, app, database)
      const answer = await openLink(browser, link, PAGE)
      t.equal(answer.status, 302)
      t.equal(answer.headers.location, 'https://www.example.org/wiki?a=b&verified=1')
      t.equal((await browser.get('/api/me')).json.user.email_verified_at !== null, true)
    })

    await t.test('the request cannot choose the target of a redirect', async t => {
      const { browser, input, link } = await aRegisteredUser(t, app, database)
      const elsewhere = 'redirect=https%3A%2F%2Fevil.test&intended=https%3A%2F%2Fevil.test&next=//evil.test'
      const headers = { ...PAGE, 'x-forwarded-host': 'evil.test', 'x-original-url': 'https://evil.test' }
      const changed = await browser.bare('GET', `${link.pathname}${link.search}&${elsewhere}`, { headers })
      t.equal(changed.headers.location, 'http://localhost:3000/?verified=1')
      const followed = await openLink(browser, link, {
        ...headers,
        host: 'evil.test',
        referer: `${SPA}/?${elsewhere}`,
      })
      t.equal(followed.headers.location, 'http://localhost:3000/?verified=1')
      const stranger = new TestBrowser(app)
      const page = await stranger.bare('GET', `${link.pathname}${link.search}&${elsewhere}`, { headers })
      t.equal(page.headers.location, 'http://localhost:3000/login')
      const login = await (await openBrowser(app)).post(`/login?${elsewhere}`, {
        ...input,
        redirect: 'https://evil.test',
      })
      t.equal(login.status, 200)
      t.equal(login.headers.location, undefined)
    })

    await t.test('a session of another user gets 403, and a guest 401 or the login page', async t => {
      const { input, link } = await aRegisteredUser(t, app, database)
      const stranger = await aRegisteredUser(t, app, database)
      const refused = await openLink(stranger.browser, link)
      t.equal(refused.status, 403)
      t.strictSame(refused.json, UNAUTHORIZED)
      t.equal((await openLink(new TestBrowser(app), link)).status, 401)
      const page = await openLink(new TestBrowser(app), link, PAGE)
      t.equal(page.status, 302)
      t.equal(page.headers.location, 'http://localhost:3000/login')
      t.equal(await verifiedAt(input.email), null)
    })

    await t.test('a link that is opened before the login takes effect at the login', async t => {
      const opened = async (link: URL, page = PAGE) => {
        const browser = new TestBrowser(app)
        const answer = await openLink(browser, link, page)
        return { browser, answer, cookie: answer.setCookies.find(line => line.startsWith('opened_link=')) }
      }
      const registered = await aRegisteredUser(t, app, database)
      const { input, id, link } = registered
      const { browser, answer, cookie } = await opened(new URL(`${link}&utm_source=mail`))
      t.equal(answer.headers.location, 'http://localhost:3000/login')
      t.match(cookie, /; Max-Age=3600; Path=\/; .*HttpOnly; SameSite=Lax$/)
      t.notMatch(cookie, input.email)
      t.equal(await verifiedAt(input.email), null, 'not before')

      await browser.logIn({ email: input.email, password: 'Wr0ng password' })
      t.equal(await verifiedAt(input.email), null, 'nor by a wrong password')
      const other = await aRegisteredUser(t, app, database)
      const shared = browser.clone()
      t.equal((await shared.logIn(other.input)).status, 200)
      t.equal(await verifiedAt(other.input.email), null, 'nor for another user')
      t.equal(await verifiedAt(input.email), null)
      t.ok(shared.cookies.has('opened_link'), 'who leaves it to its own')

      t.equal((await browser.logIn(input)).status, 200)
      t.equal(await verifiedAt(input.email), '2026-03-01 12:00:00')
      t.strictSame(await rolesOf(database, id), ['Verified'])
      t.notOk(browser.cookies.has('opened_link'), 'the browser forgets it')
      t.ok(app.logged.some(({ msg, userId }) => msg === 'email verified' && userId === id))

      t.equal(
        (await opened(link, { accept: 'application/json' })).cookie,
        undefined,
        'programs get no cookie',
      )
      const forged = new URL(link)
      forged.searchParams.set('signature', '0'.repeat(64))
      t.equal((await opened(forged)).cookie, undefined, 'nor does a link that is not genuine')
    })

    await t.test('the cookie of an opened link is worth no more than the link', async t => {
      const logInWith = async (input: { email: string; password: string }, value: string) => {
        const browser = new TestBrowser(app)
        browser.cookies.set('opened_link', value)
        t.equal((await browser.logIn(input)).status, 200)
        return verifiedAt(input.email)
      }
      const { input, id, link } = await aRegisteredUser(t, app, database)
      const stranger = await aRegisteredUser(t, app, database)
      const browser = new TestBrowser(app)
      await openLink(browser, link, PAGE)
      const [, hash, expires, signature] = (browser.cookies.get('opened_link') ?? '').split('.')
      for (const value of [
        '',
        '...',
        `${id}.${hash}.${expires}.`,
        `${id}.${hash}.${expires}.${'0'.repeat(64)}`,
        `${id}.${hash}.${Number(expires) + 1}.${signature}`,
        `${id}.${'0'.repeat(40)}.${expires}.${signature}`,
      ]) {
        t.equal(await logInWith(input, value), null, value)
      }
      const theirs = `${stranger.id}.${hash}.${expires}.${signature}`
      t.equal(await logInWith(stranger.input, theirs), null, 'for another user')

      const whole = `${id}.${hash}.${expires}.${signature}`
      await database.kysely
        .updateTable('users')
        .set({ email: 'moved@example.org' })
        .where('id', '=', id)
        .execute()
      t.equal(await logInWith({ ...input, email: 'moved@example.org' }, whole), null, 'for another address')
      await database.kysely.updateTable('users').set({ email: input.email }).where('id', '=', id).execute()
      const later = await start()
      later.clock.advance(61 * MINUTE)
      const late = new TestBrowser(later)
      late.cookies.set('opened_link', whole)
      t.equal((await late.logIn(input)).status, 200)
      t.equal(await verifiedAt(input.email), null, 'after an hour')
      t.not(
        await logInWith(input, `evil; opened_link=${whole}`),
        null,
        'right in time, beside a cookie of another host',
      )
    })

    await t.test('a login with a second factor, and one in the panel, verify as well', async t => {
      const { input, link } = await aRegisteredUser(t, app, database)
      const panel = new PanelBrowser(app)
      await openLink(panel, link, PAGE)
      await panel.logIn(input)
      t.not(await verifiedAt(input.email), null)

      const { user, secret } = await aUserWithSecondFactor(t, app, database, { verified: false })
      const url = `http://localhost:8000/email/verify/${user.id}/${emailHash(user.email)}`
      const browser = new TestBrowser(app)
      await openLink(browser, new URL(signLink(url, app.clock() + MINUTE, TEST_KEY)), PAGE)
      t.strictSame((await browser.logIn(user)).json, { two_factor: true })
      t.equal(await verifiedAt(user.email), null, 'not before the second factor')
      t.equal((await answerChallenge(browser, { code: totpCode(secret, app) })).status, 204)
      t.not(await verifiedAt(user.email), null)
    })

    await t.test('a link that was altered or has expired gets 403', async t => {
      const app = await start({ APP_URL: 'https://api.example.org' })
      const { browser, input, id, link } = await aRegisteredUser(t, app, database)

      const [expires, signature] = [
        link.searchParams.get('expires'),
        link.searchParams.get('signature') ?? '',
      ]
      const searches = [
        '',
        `?expires=${expires}`,
        `?expires=${expires}&signature=${signature}&signature=${signature}`,
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
      await refused(
        `${link.pathname.replace(/.$/, last => (last === '0' ? '1' : '0'))}${link.search}`,
        'another hash',
      )
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
      await refused(new URL(others).pathname + new URL(others).search, 'signed for another address')
      const another = signLink(
        `https://api.example.org/email/verify/${id + 1}/${emailHash(input.email)}`,
        Number(expires) * 1000,
        TEST_KEY,
      )
      await refused(new URL(another).pathname + new URL(another).search, 'signed for another user')
      app.clock.advance(61 * MINUTE)
      await refused(link.pathname + link.search, 'expired')
      t.equal(await verifiedAt(input.email), null)
    })

    await t.test('a link with parameters that track who opened it is valid', async t => {
      for (const add of [
        (query: string) => `${query}&utm_source=mail&utm_medium=email`,
        (query: string) => `fbclid=IwAR0&${query}`,
        (query: string) => `${query}&mc_eid=%5BUNIQID%5D&gclid`,
      ]) {
        const { browser, input, link } = await aRegisteredUser(t, app, database)
        const url = `${link.pathname}?${add(link.search.slice(1))}`
        t.equal((await browser.bare('GET', url)).status, 204, url)
        t.not(await verifiedAt(input.email), null)
      }
    })

    await t.test('a link that was signed with a previous key is valid', async t => {
      const { input, link } = await aRegisteredUser(t, app, database)
      const later = await startApp(t, {
        database,
        environment: {
          APP_KEY: `base64:${Buffer.alloc(32, 'another key').toString('base64')}`,
          APP_PREVIOUS_KEYS: TEST_KEY,
        },
      })
      const browser = new TestBrowser(later)
      await browser.logIn(input)
      t.equal((await openLink(browser, link)).status, 204)
    })

    await t.test('a link has the configured host, and not that of the request', async t => {
      const app = await start({ TRUSTED_PROXIES: 'loopback', AUTH_PATH: '/auth' })
      const browser = new TestBrowser(app)

      const headers = { host: 'evil.test', 'x-forwarded-host': 'evil.test', 'x-forwarded-proto': 'https' }
      await browser.bare('GET', '/sanctum/csrf-cookie', { headers })
      t.equal((await browser.post('/auth/register', aRegistration(), { headers })).status, 201)
      const link = linkIn(await app.mailbox.next())
      t.equal(link.origin, 'http://localhost:8000')
      t.match(link.pathname, /^\/auth\/email\/verify\//)
      t.equal((await openLink(browser, link)).status, 204)
    })

    await t.test('POST verification-notification sends another mail, five an hour at most', async t => {
      const app = await start()
      const { browser } = await aRegisteredUser(t, app, database)
      const first = await browser.post('/email/verification-notification')
      const statuses = [first.status]
      for (let n = 1; n < 7; n += 1) {
        statuses.push((await browser.post('/email/verification-notification')).status)
      }
      t.strictSame(statuses, [200, 200, 200, 200, 200, 200, 429])
      const sent = 'A link to verify your e-mail address has been sent to you.'
      t.strictSame(first.json, { message: sent, status: 'verification-link-sent' })
      await app.close()
      t.equal(app.mailbox.mails.length, 5)
    })

    await t.test('POST verification-notification needs a session', async t => {
      const user = await aUser(database)
      const guest = await openBrowser(app)
      t.equal((await guest.post('/email/verification-notification')).status, 401)
      const headers = {
        authorization: `Bearer ${user.token}`,
        referer: `${SPA}/`,
        'sec-fetch-site': 'same-origin',
      }
      t.equal((await send(app, 'POST', '/email/verification-notification', { headers })).status, 401)
      t.equal((await get(app, '/api/me', user.token)).status, 200)
    })
  })
}
