import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { hashPassword, type PasswordHash } from '#src/auth/password.ts'
import { type Mail, mailer } from '#src/mail/mailer.ts'
import { messages } from '#src/mail/messages.ts'
import { TestBrowser } from '../../fixtures/browser.ts'
import { DAY, MINUTE } from '../../fixtures/clock.ts'
import { linkIn } from '../../fixtures/mailbox.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aMember, aUser, PASSWORD, type TestUser } from '../../fixtures/users.ts'
import { get, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'
import { startMailServer, startSilentServer } from '../../support/mail-server.ts'
import { until } from '../../support/until.ts'

const NEW = 'Another-horse-2'
const SENT = { message: 'We have emailed your password reset link!' }
const INVALID = { email: ['This password reset token is invalid.'] }

for (const engine of ENGINES) {
  t.test(`a password that was forgotten, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await forgetting(t, database)
    await resetting(t, database)
  })
}

async function open(app: TestApp): Promise<TestBrowser> {
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  return browser
}

const forget = (browser: TestBrowser, email: unknown) => browser.post('/forgot-password', { email })

async function forgetting(t: Test, database: TestDatabase) {
  await t.test('a mail brings the link', async t => {
    const app = await startApp(t, {
      database,
      environment: { WIKI_RESET_PASSWORD: 'https://www.example.org/reset?from=mail' },
    })
    const user = await aUser(database, { password: PASSWORD })
    const answer = await forget(await open(app), user.email.toUpperCase())
    t.equal(answer.status, 200)
    t.strictSame(answer.json, SENT)
    t.equal(answer.headers['x-ratelimit-remaining'], '4')
    const mail = await app.mailbox.next()
    t.strictSame(mail.to, { name: user.name, address: user.email })
    const link = linkIn(mail)
    t.equal(link.origin + link.pathname, 'https://www.example.org/reset')
    t.match(link.searchParams.get('token'), /^[0-9a-f]{64}$/)
    t.strictSame([...link.searchParams.keys()], ['from', 'token'], 'the address stays out of it')
    const row = await database.kysely
      .selectFrom('password_reset_tokens')
      .selectAll()
      .where('email', '=', user.email)
      .executeTakeFirst()
    t.match(row, { token: /^\$2y\$/, created_at: '2026-03-01 12:00:00' })
    t.notOk(JSON.stringify(app.logged).includes(link.searchParams.get('token') ?? '?'))
    t.match(
      app.logged.find(({ msg }) => msg === 'password reset asked for'),
      { userId: user.id, cause: 'sent', address: '127.0.0.1' },
    )
  })

  await t.test(
    '20 who asks learns nothing: neither by the answer, nor by what is done before it',
    async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      const user = await aUser(database, { password: PASSWORD })
      const deleted = await aUser(database)
      await database.kysely
        .updateTable('users')
        .set({ deleted_at: '2026-01-01 00:00:00' })
        .where('id', '=', deleted.id)
        .execute()
      const browser = await open(app)
      // The first look-up also brings what permissions mean.
      await browser.get('/api/me')
      // How many statements there were when the request was written to the log, which is after its answer.
      let before = 0
      app.logged.push = function (this: unknown[], line) {
        if (line.msg === 'request') before = database.statements.length
        return Array.prototype.push.call(this, line)
      }
      let asked = 0
      const ask = async (email: string) => {
        database.statements.length = 0
        const answer = await forget(browser, email)
        asked += 1
        await until(() => app.logged.filter(({ msg }) => msg === 'password reset asked for').length === asked)
        const { status, text, headers } = answer
        return { status, text, headers: Object.keys(headers).sort(), before }
      }
      const answers = [
        await ask('nobody@example.org'),
        await ask(user.email),
        await ask(user.email),
        await ask(deleted.email),
      ]
      const [first] = answers
      for (const { status, text, headers, before } of answers) {
        t.equal(status, 200)
        t.equal(text, first?.text)
        t.strictSame(headers, first?.headers)
        t.equal(
          before,
          2,
          'looking up the session and counting the attempt are all that comes before the answer',
        )
      }
      await app.close()
      t.equal(app.mailbox.mails.length, 1, 'once a minute, and nobody who is not there')
      const causes = app.logged
        .filter(({ msg }) => msg === 'password reset asked for')
        .map(({ userId, cause }) => [userId, cause])
      t.strictSame(causes, [
        [null, 'unknown'],
        [user.id, 'sent'],
        [user.id, 'throttled'],
        [null, 'unknown'],
      ])
    },
  )

  await t.test('unless that is wanted', async t => {
    const app = await startApp(t, { database, environment: { ...UNLIMITED, REVEAL_UNKNOWN_EMAIL: 'true' } })
    const user = await aUser(database)
    const browser = await open(app)
    const unknown = await forget(browser, 'nobody@example.org')
    t.equal(unknown.status, 422)
    t.strictSame(unknown.json.errors, { email: ["We can't find a user with that email address."] })
    t.equal((await forget(browser, user.email)).status, 200)
    const again = await forget(browser, user.email)
    t.equal(again.status, 422)
    t.strictSame(again.json.errors, { email: ['Please wait before retrying.'] })
    app.clock.advance(MINUTE)
    t.equal((await forget(browser, user.email)).status, 200)
    const reset = await browser.post('/reset-password', {
      token: 'x',
      email: 'nobody@example.org',
      password: NEW,
      password_confirmation: NEW,
    })
    t.strictSame(reset.json.errors, { email: ["We can't find a user with that email address."] })
  })

  await t.test('what is no address is refused', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const browser = await open(app)
    for (const email of [
      '',
      null,
      'nobody',
      'a@b@c',
      ['a@b'],
      { a: 1 },
      1,
      'nul\0@example.org',
      '\ud800@b',
    ]) {
      const { status, json } = await forget(browser, email)
      t.equal(status, 422, JSON.stringify(email))
      t.strictSame(Object.keys(json.errors), ['email'])
    }
    t.equal((await browser.post('/forgot-password')).status, 422)
  })

  await t.test('an address that looks like another leads to the one that is stored', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const user = await aUser(database)
    const browser = await open(app)
    t.equal((await forget(browser, user.email.replace('user', 'ｕｓｅｒ'))).status, 200)
    t.equal((await app.mailbox.next()).to.address, user.email)
    t.equal(
      (await forget(browser, user.email.replace('user', 'us\u0435r'))).status,
      200,
      'Cyrillic is another',
    )
    await app.close()
    t.equal(app.mailbox.mails.length, 1)
  })

  await t.test('is limited, and nobody is flooded with mails', async t => {
    const app = await startApp(t, { database, environment: { FORGOT_PASSWORD_RATE_LIMIT: '2' } })
    const user = await aUser(database)
    const browser = await open(app)
    const statuses: number[] = []
    for (let n = 0; n < 3; n += 1) statuses.push((await forget(browser, user.email)).status)
    t.strictSame(statuses, [200, 200, 429], 'for an account')
    await app.mailbox.next()
    for (let n = 0; n < 6; n += 1) statuses.push((await forget(browser, `nobody-${n}@example.org`)).status)
    t.equal((await forget(browser, 'nobody@example.org')).status, 429, 'for an address')
    for (let n = 0; n < 8; n += 1) {
      app.clock.advance(MINUTE)
      t.equal((await forget(browser, user.email)).status, 200)
      if (n < 4) await app.mailbox.next()
    }
    await app.close()
    t.equal(app.mailbox.mails.length, 5, 'five an hour')
    const token = linkIn(app.mailbox.mails[4] as Mail).searchParams.get('token')
    const other = await startApp(t, { database, environment: UNLIMITED, clock: app.clock })
    const input = { email: user.email, token, password: NEW, password_confirmation: NEW }
    t.equal(
      (await (await open(other)).post('/reset-password', input)).status,
      200,
      'and the last one stays good',
    )
  })

  await t.test('who is logged in is told so', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const user = await aUser(database, { password: PASSWORD })
    const browser = new TestBrowser(app)
    await browser.logIn({ email: user.email, password: PASSWORD })
    for (const url of [
      '/forgot-password',
      '/reset-password',
      '/register',
      '/login',
      '/two-factor-challenge',
    ]) {
      const payload = { email: user.email, password: PASSWORD, token: 'x', code: 'x' }
      const answer = await browser.post(url, payload)
      t.equal(answer.status, 200, url)
      t.strictSame(answer.json, { error: 'Already authenticated.' })
    }
  })

  await t.test('4 not by a page of somebody else', async t => {
    const app = await startApp(t, { database })
    const browser = await open(app)
    for (const url of ['/forgot-password', '/reset-password', '/two-factor-challenge']) {
      t.equal((await browser.bare('POST', url, { payload: { email: 'a@b' } })).status, 419, url)
    }
  })
}

async function resetting(t: Test, database: TestDatabase) {
  const asked = async (t: Test, environment: Record<string, string> = {}) => {
    const app = await startApp(t, { database, environment: { ...UNLIMITED, ...environment } })
    const user = await aMember(database)
    return { app, user, token: await ask(app, user), browser: await open(app) }
  }
  const ask = async (app: TestApp, user: TestUser) => {
    await forget(await open(app), user.email)
    return linkIn(await app.mailbox.next()).searchParams.get('token') ?? ''
  }
  const reset = (browser: TestBrowser, input: { email: string; token: string; [field: string]: unknown }) =>
    browser.post('/reset-password', { password: NEW, password_confirmation: NEW, ...input })

  await t.test('the token of the mail sets a new password, and ends what went before', async t => {
    const { app, user, token, browser } = await asked(t)
    const sessions = [new TestBrowser(app), new TestBrowser(app)]
    for (const session of sessions) await session.logIn(user)
    const remembered = new TestBrowser(app)
    await remembered.get('/sanctum/csrf-cookie')
    await remembered.post('/login', { ...user, remember: true })
    remembered.cookies.delete('animethemes_session')

    const answer = await reset(browser, { email: user.email.toUpperCase(), token })
    t.equal(answer.status, 200)
    t.strictSame(answer.json, { message: 'Your password has been reset!' })
    t.equal((await browser.get('/api/me')).status, 401, 'nobody is logged in by that')
    for (const session of sessions) t.equal((await session.get('/api/me')).status, 401)
    t.equal((await remembered.get('/api/me')).status, 401, '14 and what was remembered is forgotten')
    t.equal((await get(app, '/api/me', user.token)).status, 401, 'tokens end as well')
    t.equal((await new TestBrowser(app).logIn(user)).status, 422)
    t.equal((await new TestBrowser(app).logIn({ ...user, password: NEW })).status, 200)
    const notice = await app.mailbox.next()
    t.strictSame(notice.to, { name: user.name, address: user.email })
    t.match(notice.subject, /password .* was changed/)
    t.match(
      app.logged.find(({ msg }) => msg === 'password reset'),
      { userId: user.id, revokedTokens: true },
    )
    t.notOk(JSON.stringify(app.logged).includes(NEW))
    t.notOk(JSON.stringify(app.logged).includes(token))
  })

  await t.test('24 a token counts once', async t => {
    const { user, token, browser } = await asked(t)
    t.equal((await reset(browser, { email: user.email, token })).status, 200)
    const again = await reset(browser, { email: user.email, token })
    t.equal(again.status, 422)
    t.strictSame(again.json.errors, INVALID)
  })

  await t.test('24 at the same time, too', async t => {
    const { app, user, token } = await asked(t)
    const browsers = await Promise.all([1, 2, 3, 4, 5].map(() => open(app)))
    const answers = await Promise.all(browsers.map(browser => reset(browser, { email: user.email, token })))
    t.strictSame(answers.map(({ status }) => status).sort(), [200, 422, 422, 422, 422])
    const causes = app.logged.filter(({ msg }) => msg === 'password reset')
    t.equal(causes.length, 1)
  })

  await t.test('24 for an hour, for its own account, and until there is another one', async t => {
    const { app, user, token, browser } = await asked(t)
    const refused = async (input: { email: string; token: string }, why: string) => {
      const { status, json } = await reset(browser, input)
      t.equal(status, 422, why)
      t.strictSame(json.errors, INVALID)
    }
    const other = await aUser(database, { password: PASSWORD })
    const others = await ask(app, other)
    await refused({ email: user.email, token: others }, 'of another account')
    await refused({ email: other.email, token }, 'for another account')
    await refused({ email: 'nobody@example.org', token }, 'for no account')
    await refused({ email: user.email, token: token.slice(1) }, 'cut short')
    await refused({ email: user.email, token: `${token}\0x` }, 'with something behind a NUL')
    await refused({ email: user.email, token: 'x'.repeat(60_000) }, 'of any length')
    await refused({ email: user.email, token: '$2y$04$' }, 'that looks like a hash')
    app.clock.advance(60 * MINUTE + 1000)
    await refused({ email: user.email, token }, 'an hour later')
    const second = await ask(app, user)
    await refused({ email: user.email, token }, 'after another one')
    t.equal((await reset(browser, { email: user.email, token: second })).status, 200)
  })

  await t.test('47 not for who is deleted, and not under an address that was changed', async t => {
    const { user, token, browser } = await asked(t)
    const { kysely } = database
    const set = (change: { deleted_at: string | null }) =>
      kysely.updateTable('users').set(change).where('id', '=', user.id).execute()
    await set({ deleted_at: '2026-02-01 00:00:00' })
    t.strictSame((await reset(browser, { email: user.email, token })).json.errors, INVALID)
    await set({ deleted_at: null })
    const immediate = await startApp(t, {
      database,
      environment: { ...UNLIMITED, EMAIL_CHANGE: 'immediate' },
    })
    const owner = new TestBrowser(immediate)
    await owner.logIn(user)
    const moved = `moved-${user.email}`
    await owner.send('PUT', '/user/profile-information', { payload: { email: moved } })
    for (const email of [user.email, moved]) {
      t.strictSame((await reset(browser, { email, token })).json.errors, INVALID, email)
    }
    const heir = await aUser(database, { password: PASSWORD })
    await kysely.updateTable('users').set({ email: user.email }).where('id', '=', heir.id).execute()
    t.strictSame(
      (await reset(browser, { email: user.email, token })).json.errors,
      INVALID,
      'nor for whoever has that address by now',
    )
  })

  await t.test('what is wrong is told at once, and the token is not lost', async t => {
    const { user, token, browser } = await asked(t)
    const cases: [change: object, errors: Record<string, string[]>][] = [
      [
        { token: '', email: '', password: '' },
        {
          token: ['The token field is required.'],
          email: ['The email field is required.'],
          password: ['The password field is required.'],
        },
      ],
      [{ email: 'nobody' }, { email: ['The email must be a valid email address.'] }],
      [{ password_confirmation: 'x' }, { password: ['The password confirmation does not match.'] }],
      [
        { password: 'short1A-', password_confirmation: 'short1A-', token: ['x'] },
        { token: ['The token must be a string.'] },
      ],
      [
        { password: `Aa1-${'x'.repeat(69)}`, password_confirmation: `Aa1-${'x'.repeat(69)}` },
        { password: ['The password must not be longer than 72 bytes.'] },
      ],
    ]
    for (const [change, errors] of cases) {
      const { status, json } = await reset(browser, { email: user.email, token, ...change })
      t.equal(status, 422)
      t.strictSame(json.errors, errors)
    }
    t.equal((await reset(browser, { email: user.email, token })).status, 200)
  })

  await t.test('revokes tokens if the request or the rule says so', async t => {
    const first = await asked(t)
    await reset(first.browser, { email: first.user.email, token: first.token, revoke_tokens: true })
    t.equal((await get(first.app, '/api/me', first.user.token)).status, 401)
    const second = await asked(t, { REVOKE_TOKENS_ON_PASSWORD_CHANGE: 'true' })
    await reset(second.browser, { email: second.user.email, token: second.token })
    t.equal((await get(second.app, '/api/me', second.user.token)).status, 401)
  })

  await t.test('a token that Laravel sent counts', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const user = await aUser(database, { password: PASSWORD })
    const token = randomBytes(32).toString('hex')
    const row = { email: user.email, token: await hashPassword(token, 5), created_at: '2026-03-01 11:59:00' }
    await database.kysely.insertInto('password_reset_tokens').values(row).execute()
    t.equal((await reset(await open(app), { email: user.email, token })).status, 200)
  })

  await t.test('trying is limited', async t => {
    const { user, browser } = await asked(t, { FORGOT_PASSWORD_RATE_LIMIT: '2' })
    const statuses: number[] = []
    for (let n = 0; n < 3; n += 1)
      statuses.push((await reset(browser, { email: user.email, token: 'x' })).status)
    t.strictSame(statuses, [422, 422, 429])
  })

  await t.test('whoever was kept out by wrong guesses gets in again', async t => {
    const { app, user, token, browser } = await asked(t, { LOGIN_FAILURE_LIMIT: '2' })
    for (const status of [422, 422, 429]) {
      t.equal((await browser.post('/login', { ...user, password: 'wrong' })).status, status)
    }
    t.equal((await reset(browser, { email: user.email, token })).status, 200)
    t.equal((await new TestBrowser(app).logIn({ ...user, password: NEW })).status, 200)
  })

  await t.test('what is over is deleted', async t => {
    const { app, user } = await asked(t)
    const left = async () =>
      (
        await database.kysely
          .selectFrom('password_reset_tokens')
          .select('email')
          .where('email', '=', user.email)
          .execute()
      ).length
    await app.activity.prune()
    t.equal(await left(), 1)
    app.clock.advance(DAY)
    await app.activity.prune()
    t.equal(await left(), 0)
  })

  await t.test('a hash that is no token is none', async t => {
    const { user, browser } = await asked(t)
    await database.kysely
      .updateTable('password_reset_tokens')
      .set({ token: 'rubbish' as PasswordHash })
      .where('email', '=', user.email)
      .execute()
    t.equal((await reset(browser, { email: user.email, token: 'rubbish' })).status, 422)
    await database.kysely
      .updateTable('password_reset_tokens')
      .set({ created_at: null })
      .where('email', '=', user.email)
      .execute()
    t.equal((await reset(browser, { email: user.email, token: 'rubbish' })).status, 422)
  })
}

t.test('the end of the server does not wait for all who forgot their password', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const app = await startApp(t, { database, environment: UNLIMITED })
  const browser = await open(app)
  await browser.get('/api/me')
  // Nobody gets to know a user while somebody has the table.
  const holder = await database.source.acquire()
  t.teardown(() => holder.release())
  await holder.query('begin', [])
  await holder.query('lock table password_reset_tokens in access exclusive mode', [])
  const user = await aUser(database)
  for (let n = 0; n < 5; n += 1) t.equal((await forget(browser, user.email)).status, 200)
  await app.close()
  t.pass('it ends')
  await holder.query('rollback', [])
})

t.test('mail', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const from = 'AnimeThemes <no-reply@example.org>'

  await t.test('goes to an SMTP server, as text and as HTML', async t => {
    const server = await startMailServer(t)
    const app = await startApp(t, {
      database,
      environment: {
        ...UNLIMITED,
        MAIL_URL: server.url,
        MAIL_FROM: from,
        FRONTEND_URL: 'https://www.example.org',
      },
    })
    const user = await aUser(database)
    await forget(await open(app), user.email)
    const mail = await server.next()
    t.match(mail.from, { name: 'AnimeThemes', address: 'no-reply@example.org' })
    t.match(mail.to, [{ name: user.name, address: user.email }])
    t.equal(mail.subject, 'A new password for AnimeThemes')
    t.match(mail.text, /^https:\/\/www\.example\.org\/reset-password\?token=[0-9a-f]{64}$/m)
    t.match(mail.html, /href="https:\/\/www\.example\.org\/reset-password\?token&#61;[0-9a-f]{64}"/)
    await app.close()
    t.match(
      app.logged.find(({ msg }) => /a mail/.test(String(msg))),
      undefined,
    )
  })

  await t.test('a server that says nothing delays nobody', async t => {
    const { url, connected } = await startSilentServer(t)
    const app = await startApp(t, { database, environment: { ...UNLIMITED, MAIL_URL: url, MAIL_FROM: from } })
    const input = { name: 'patient', email: 'patient@example.org', terms: true }
    const browser = await open(app)
    const registered = await browser.post('/register', {
      ...input,
      password: PASSWORD,
      password_confirmation: PASSWORD,
    })
    t.equal(registered.status, 201)
    await connected
    t.equal((await browser.post('/email/verification-notification')).status, 202, 'while it still waits')
  })

  await t.test('a server that cannot take it is asked again', async t => {
    let refusals = 1
    const server = await startMailServer(t, {
      onMailFrom(_address, _session, done) {
        refusals -= 1
        done(refusals >= 0 ? Object.assign(new Error('come back later'), { responseCode: 451 }) : undefined)
      },
    })
    const app = await startApp(t, {
      database,
      environment: { ...UNLIMITED, MAIL_URL: server.url, MAIL_FROM: from },
    })
    const user = await aUser(database)
    await forget(await open(app), user.email)
    await until(() => refusals <= 0)
    // At the end what waits gets one last try.
    await app.close()
    t.equal(server.received.length, 1)
  })

  await t.test('what a server does not want is given up', async t => {
    const server = await startMailServer(t, {
      onRcptTo(_address, _session, done) {
        done(Object.assign(new Error('no such user'), { responseCode: 550 }))
      },
    })
    const app = await startApp(t, {
      database,
      environment: { ...UNLIMITED, MAIL_URL: server.url, MAIL_FROM: from },
    })
    const user = await aUser(database)
    t.equal((await forget(await open(app), user.email)).status, 200)
    await app.close()
    const lost = app.logged.find(({ msg }) => msg === 'a mail is lost: failed')
    t.match(lost, { level: 50, subject: 'A new password for AnimeThemes' })
    t.notMatch(JSON.stringify(lost), /token=/)
    const { text } = { text: await app.metrics.registry.getSingleMetricAsString('mails_total') }
    t.match(text, /outcome="failed"\} 1/)
  })

  await t.test('a password is not sent in the clear, except to this machine', async t => {
    // 0.0.0.0 reaches this machine as well, and is none of its names.
    for (const [host, credentials, isSent] of [
      ['0.0.0.0', 'user:secret', false],
      ['0.0.0.0', 'user', false],
      ['0.0.0.0', '', true],
      ['127.0.0.1', 'user:secret', true],
      ['localhost', 'user:secret', true],
    ] as const) {
      const told: string[] = []
      const server = await startMailServer(t, {
        disabledCommands: ['STARTTLS'],
        onAuth({ username, password }, _session, done) {
          told.push(`${username}:${password}`)
          done(null, { user: 'user' })
        },
      })
      const url = server.url.replace('//127.0.0.1', `//${credentials && `${credentials}@`}${host}`)
      const app = await startApp(t, {
        database,
        environment: { ...UNLIMITED, MAIL_URL: url, MAIL_FROM: from },
      })
      const user = await aUser(database)
      await forget(await open(app), user.email)
      await app.close()
      t.equal(server.received.length, isSent ? 1 : 0, url)
      t.strictSame(told, isSent && credentials !== '' ? [credentials] : [], url)
      t.equal(!app.logged.some(({ msg }) => msg === 'a mail is lost: failed'), isSent, url)
      t.notMatch(JSON.stringify(app.logged), /secret@/)
    }
  })

  await t.test('without a server it is written to the log, in production without its text', async t => {
    const read = async (environment: Record<string, string>) => {
      const app = await startApp(t, {
        database,
        environment: { ...UNLIMITED, ...environment },
        mailbox: false,
      })
      const user = await aUser(database)
      const browser = new TestBrowser(app)
      const headers = { host: '127.0.0.1:8000' }
      await browser.get('/sanctum/csrf-cookie', { headers })
      t.equal((await browser.post('/forgot-password', { email: user.email }, { headers })).status, 200)
      await app.close()
      return { log: app.logged, user }
    }
    const local = await read({})
    const written = local.log.find(({ msg }) => msg === 'mail')
    t.match(written, {
      to: local.user.email,
      subject: 'A new password for AnimeThemes',
      text: /token=[0-9a-f]{64}/,
    })
    const production = await read({
      APP_ENV: 'production',
      APP_KEY: `base64:${randomBytes(32).toString('base64')}`,
    })
    t.match(
      production.log.find(({ msg }) => /MAIL_URL is not set/.test(String(msg))),
      { level: 40 },
    )
    t.notMatch(JSON.stringify(production.log), /token=/)
  })

  await t.test('is tried a few times, further and further apart', async t => {
    const pauses: number[] = []
    const outcomes: string[] = []
    let failures = Number.POSITIVE_INFINITY
    let settle = () => {}
    const { send, close } = mailer({
      async deliver() {
        failures -= 1
        if (failures >= 0) throw new Error('down')
      },
      onOutcome(outcome) {
        outcomes.push(outcome)
        settle()
      },
      async wait(ms) {
        pauses.push(ms)
      },
    })
    const mail = messages('X').tokenLeaked({ name: 'x', email: 'x@example.org' })
    const settled = () =>
      new Promise<void>(resolve => {
        settle = resolve
      })
    const first = settled()
    send(mail)
    await first
    t.strictSame(pauses, [5_000, 30_000, 120_000, 600_000])
    failures = 2
    const second = settled()
    send(mail)
    await second
    t.strictSame(outcomes, ['failed', 'sent'])
    await close()
  })

  await t.test('more than a thousand at once are turned away', async t => {
    const outcomes: string[] = []
    let release = () => {}
    const released = new Promise<void>(resolve => {
      release = resolve
    })
    const { send, close } = mailer({ deliver: () => released, onOutcome: outcome => outcomes.push(outcome) })
    const mail = messages('X').tokenLeaked({ name: 'x', email: 'x@example.org' })
    for (let n = 0; n < 1_001; n += 1) send(mail)
    t.strictSame(outcomes, ['dropped'])
    release()
    await close()
    t.equal(outcomes.filter(outcome => outcome === 'sent').length, 1_000)
  })

  await t.test('what people call themselves is no markup', async t => {
    const { html, text } = messages('A & B').verification(
      { name: '<b>"x"</b>', email: 'x@example.org' },
      'https://api.example.org/?a=1&b="><script>',
    )
    t.notMatch(html, /<b>|<script>/)
    t.match(html, /&#60;b&#62;/)
    t.match(html, /A &#38; B/)
    t.match(text, /^Hello <b>"x"<\/b>,/)
  })
})
