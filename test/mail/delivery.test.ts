import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { createMailer, type Mail } from '#src/mail/mailer.ts'
import { createMessages } from '#src/mail/messages.ts'
import { openBrowser, TestBrowser } from '../fixtures/browser.ts'
import { forgetPassword } from '../fixtures/passwords.ts'
import { aRegistration } from '../fixtures/registration.ts'
import { UNLIMITED } from '../fixtures/settings.ts'
import { aUser } from '../fixtures/users.ts'
import { startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'
import { startMailServer, startSilentServer } from '../support/mail-server.ts'
import { until } from '../support/until.ts'

const MAIL: Mail = createMessages('X').tokenLeaked({ name: 'x', email: 'x@example.org' })

t.test('delivery of mails by a server', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  /** A server that sends mails to an SMTP server. */
  const start = (t: Test, url: string, environment: Record<string, string> = {}) =>
    startApp(t, {
      database,
      environment: {
        ...UNLIMITED,
        MAIL_URL: url,
        MAIL_FROM: 'AnimeThemes <no-reply@example.org>',
        ...environment,
      },
    })

  await t.test('a mail has a text and an HTML part', async t => {
    const server = await startMailServer(t)
    const app = await start(t, server.url, { FRONTEND_URL: 'https://www.example.org' })

    const user = await aUser(database)
    await forgetPassword(await openBrowser(app), user.email)
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

  await t.test('an answer does not wait for an SMTP server that does not respond', async t => {
    const { url, connected } = await startSilentServer(t)
    const app = await start(t, url)
    const browser = await openBrowser(app)
    t.equal((await browser.post('/register', aRegistration())).status, 201)
    await connected
    t.equal((await browser.post('/email/verification-notification')).status, 200)
  })

  await t.test('a mail that is refused temporarily is sent again', async t => {
    let refusals = 1
    const server = await startMailServer(t, {
      onMailFrom(_address, _session, done) {
        refusals -= 1
        done(refusals >= 0 ? Object.assign(new Error('come back later'), { responseCode: 451 }) : undefined)
      },
    })
    const app = await start(t, server.url)
    const user = await aUser(database)
    await forgetPassword(await openBrowser(app), user.email)
    await until(() => refusals <= 0)
    // Closing the server sends the mails that wait a last time.
    await app.close()
    t.equal(server.received.length, 1)
  })

  await t.test('a mail that is refused permanently is lost, which is logged and counted', async t => {
    const server = await startMailServer(t, {
      onRcptTo(_address, _session, done) {
        done(Object.assign(new Error('no such user'), { responseCode: 550 }))
      },
    })
    const app = await start(t, server.url)
    const user = await aUser(database)
    t.equal((await forgetPassword(await openBrowser(app), user.email)).status, 200)
    await app.close()
    const lost = app.logged.find(({ msg }) => msg === 'a mail is lost: failed')
    t.match(lost, { level: 50, subject: 'A new password for AnimeThemes' })
    t.notMatch(JSON.stringify(lost), /token=/)
    t.match((await app.metrics.render()).text, /mails_total\{outcome="failed"\} 1/)
  })

  // 0.0.0.0 reaches this machine, and is none of its names.
  for (const [host, credentials, isSent] of [
    ['0.0.0.0', 'user:secret', false],
    ['0.0.0.0', 'user', false],
    ['0.0.0.0', '', true],
    ['127.0.0.1', 'user:secret', true],
    ['localhost', 'user:secret', true],
  ] as const) {
    const outcome = isSent ? 'sends a mail' : 'sends neither a mail nor the password'
    await t.test(
      `without TLS, MAIL_URL=smtp://${credentials && `${credentials}@`}${host} ${outcome}`,
      async t => {
        const authentications: string[] = []
        const server = await startMailServer(t, {
          disabledCommands: ['STARTTLS'],
          onAuth({ username, password }, _session, done) {
            authentications.push(`${username}:${password}`)
            done(null, { user: 'user' })
          },
        })
        const app = await start(
          t,
          server.url.replace('//127.0.0.1', `//${credentials && `${credentials}@`}${host}`),
        )
        const user = await aUser(database)
        await forgetPassword(await openBrowser(app), user.email)
        await app.close()
        t.equal(server.received.length, isSent ? 1 : 0)
        t.strictSame(authentications, isSent && credentials !== '' ? [credentials] : [])
        t.equal(!app.logged.some(({ msg }) => msg === 'a mail is lost: failed'), isSent)
        t.notMatch(JSON.stringify(app.logged), /secret@/)
      },
    )
  }

  /** The log of a server without MAIL_URL that sends a mail, and the user that it is for. */
  const logOfMail = async (t: Test, environment: Record<string, string> = {}) => {
    const app = await startApp(t, {
      database,
      environment: { ...UNLIMITED, ...environment },
      mailbox: false,
    })
    const user = await aUser(database)
    const browser = new TestBrowser(app)
    const headers = { host: 'localhost:8000' }
    await browser.get('/sanctum/csrf-cookie', { headers })
    t.equal((await browser.post('/forgot-password', { email: user.email }, { headers })).status, 200)
    await app.close()
    return { log: app.logged, user }
  }

  await t.test('without MAIL_URL a mail is written to the log', async t => {
    const { log, user } = await logOfMail(t)
    t.match(
      log.find(({ msg }) => msg === 'mail'),
      { to: user.email, subject: 'A new password for AnimeThemes', text: /token=[0-9a-f]{64}/ },
    )
  })

  await t.test('in production the log has no text of a mail', async t => {
    const { log } = await logOfMail(t, {
      APP_ENV: 'production',
      APP_KEY: `base64:${randomBytes(32).toString('base64')}`,
    })
    t.match(
      log.find(({ msg }) => /MAIL_URL is not set/.test(String(msg))),
      { level: 40 },
    )
    t.notMatch(JSON.stringify(log), /token=/)
  })
})

t.test('the queue of mails', async t => {
  await t.test('a delivery is tried five times, with growing pauses', async t => {
    const pauses: number[] = []
    const { send, close, outcome } = startMailer({
      failures: Number.POSITIVE_INFINITY,
      wait: async ms => {
        pauses.push(ms)
      },
    })
    send(MAIL)
    t.equal(await outcome, 'failed')
    t.strictSame(pauses, [5_000, 30_000, 120_000, 600_000])
    await close()
  })

  await t.test('a delivery that succeeds at last is sent', async t => {
    const { send, close, outcome } = startMailer({ failures: 2, wait: async () => {} })
    send(MAIL)
    t.equal(await outcome, 'sent')
    await close()
  })

  await t.test('more than a thousand mails at a time are dropped', async t => {
    const outcomes: string[] = []
    let release = () => {}
    const released = new Promise<void>(resolve => {
      release = resolve
    })
    const { send, close } = createMailer({
      deliver: () => released,
      onOutcome: outcome => outcomes.push(outcome),
    })
    for (let n = 0; n < 1_001; n += 1) send(MAIL)
    t.strictSame(outcomes, ['dropped'])
    release()
    await close()
    t.equal(outcomes.filter(outcome => outcome === 'sent').length, 1_000)
  })
})

t.test('markup in names and links is escaped in the HTML part', async t => {
  const { html, text } = createMessages('A & B').verification(
    { name: '<b>"x"</b>', email: 'x@example.org' },
    'https://api.example.org/?a=1&b="><script>',
  )
  t.notMatch(html, /<b>|<script>/)
  t.match(html, /&#60;b&#62;/)
  t.match(html, /A &#38; B/)
  t.match(text, /^Hello <b>"x"<\/b>,/)
})

/** A createMailer whose first deliveries fail, and the outcome of its first mail. */
function startMailer({ failures, wait }: { failures: number; wait: (ms: number) => Promise<void> }) {
  let remaining = failures
  let settle = (_outcome: string) => {}
  const outcome = new Promise<string>(resolve => {
    settle = resolve
  })
  const { send, close } = createMailer({
    async deliver() {
      remaining -= 1
      if (remaining >= 0) throw new Error('down')
    },
    onOutcome: outcome => settle(outcome),
    wait,
  })
  return { send, close, outcome }
}
