import t from 'tap'
import type { PasswordHash } from '#src/auth/password.ts'
import { insertUser } from '#src/database/users.ts'
import { EMAIL_TAKEN } from '../../../fixtures/answers.ts'
import { aLoggedInUser, openBrowser, type TestBrowser } from '../../../fixtures/browser.ts'
import { MINUTE, NOW } from '../../../fixtures/clock.ts'
import { changeProfile } from '../../../fixtures/email-changes.ts'
import { linkIn } from '../../../fixtures/mailbox.ts'
import { NEW_PASSWORD, resetPassword, withConfirmation } from '../../../fixtures/passwords.ts'
import { anEmail, aRegistration, rolesOf, userByEmail } from '../../../fixtures/registration.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aUser, PASSWORD } from '../../../fixtures/users.ts'
import { type Answer, startApp, type TestApp } from '../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../support/databases.ts'

/** The parts of an answer by which two could be told apart. */
const visible = ({ status, text, headers, setCookies }: Answer) => ({
  status,
  text,
  headers: Object.keys(headers).sort(),
  cookies: setCookies.map(cookie => cookie.replace(/=[^;]*/, '=').replace(/Expires=[^;]*/i, '')),
})

const defaultRoles = async ({ kysely }: TestDatabase) =>
  (await kysely.selectFrom('roles').select('name').where('default', '=', true).orderBy('name').execute()).map(
    ({ name }) => name,
  )

const rowsOf = ({ kysely }: TestDatabase, email: string) =>
  kysely.selectFrom('users').selectAll().where('email', '=', email).execute()

const register = async (app: TestApp, input: object, browser?: TestBrowser) =>
  (browser ?? (await openBrowser(app))).post('/register', input)

/** Registers, and returns the token of the link in the mail. */
async function registerForToken(app: TestApp, input: { email: string }): Promise<string | null> {
  await register(app, input)
  return linkIn(await app.mailbox.nextTo(input.email)).searchParams.get('token')
}

for (const engine of ENGINES) {
  t.test(`POST /register with REGISTER_REVEALS=false on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const environment = { ...UNLIMITED, REGISTER_REVEALS: 'false' }
    const app = await startApp(t, { database, environment })

    await t.test('a free and a taken address get the same answer, and no login', async t => {
      const owner = await aUser(database)
      const free = await openBrowser(app)
      const input = aRegistration()
      const answer = await register(app, input, free)
      t.equal(answer.status, 201)
      t.equal(answer.text, '""')
      t.match(await app.mailbox.nextTo(input.email), { subject: 'Your account at AnimeThemes' })
      t.equal((await free.get('/api/me')).status, 401)

      for (const email of [owner.email, owner.email.toUpperCase()]) {
        const taken = await openBrowser(app)
        const stranger = aRegistration({ email })
        t.strictSame(visible(await register(app, stranger, taken)), visible(answer), email)
        const toOwner = await app.mailbox.nextTo(owner.email)
        t.match(toOwner, { subject: 'You have an account at AnimeThemes' })
        t.equal(linkIn(toOwner).pathname, '/login')
        t.notOk(toOwner.text.includes(stranger.name), 'the input of a stranger is not in the mail')
        t.equal((await taken.get('/api/me')).status, 401)
        t.equal((await rowsOf(database, owner.email)).length, 1)
      }
    })

    await t.test('a login afterwards does not tell them apart', async t => {
      const owner = await aUser(database, { password: PASSWORD })
      const input = aRegistration()
      const stranger = aRegistration({ email: owner.email, ...withConfirmation('Stranger horse 3') })
      const answers = []
      for (const one of [input, stranger]) {
        t.equal((await register(app, one)).status, 201)
        const { email, password } = one
        answers.push(visible(await (await openBrowser(app)).post('/login', { email, password })))
      }
      t.equal(answers[0]?.status, 422)
      t.strictSame(answers[0], answers[1])
    })

    await t.test(
      'the link of the mail creates the account, with the password that is chosen then',
      async t => {
        const input = aRegistration()
        await register(app, input)
        const mail = await app.mailbox.nextTo(input.email)
        t.match(mail.html, 'Choose a password')
        const link = linkIn(mail)
        t.equal(`${link.origin}${link.pathname}`, 'http://localhost:3000/reset-password')
        t.strictSame(await rowsOf(database, input.email), [], 'there is no account before')
        const browser = await openBrowser(app)
        const token = link.searchParams.get('token')
        const { email } = input
        t.equal((await resetPassword(app, { token, email }, browser)).status, 200)
        t.equal((await browser.post('/login', { email, password: PASSWORD })).status, 422)
        t.equal((await browser.post('/login', { email, password: NEW_PASSWORD })).status, 200)
        const { json } = await browser.get('/api/me')
        t.equal(json.user.name, input.name)
        t.not(json.user.email_verified_at, null, 'the link verifies the address')
        t.strictSame(await rolesOf(database, json.user.id), await defaultRoles(database))
        t.equal((await resetPassword(app, { token, email })).status, 422, 'the link is valid once')
      },
    )

    await t.test('a registration does not reserve its name', async t => {
      const owner = await aUser(database)
      for (const email of [owner.email, anEmail()]) {
        const input = aRegistration({ email })
        await register(app, input)
        t.equal((await register(app, aRegistration({ name: input.name }))).status, 201, email)
      }
    })

    await t.test('a name that was taken before the link was opened gets a suffix', async t => {
      const input = aRegistration()
      const token = await registerForToken(app, input)
      await insertUser(database.kysely, {
        name: input.name.toUpperCase(),
        email: anEmail(),
        password: '!' as PasswordHash,
        verified: true,
        now: NOW,
      })
      t.equal((await resetPassword(app, { token, email: input.email })).status, 200)
      const row = await userByEmail(database, input.email)
      t.match(row?.name, new RegExp(`^${input.name}-[A-Za-z0-9]{8}$`))
    })

    await t.test('a link is valid for an hour', async t => {
      const app = await startApp(t, { database, environment })
      const input = aRegistration()
      const token = await registerForToken(app, input)
      app.clock.advance(60 * MINUTE + 1_000)
      t.equal((await resetPassword(app, { token, email: input.email })).status, 422)
    })

    await t.test('of several registrations of an address the first that is confirmed counts', async t => {
      const owner = await aUser(database)
      const first = aRegistration()
      const { email } = first
      const own = await registerForToken(app, first)
      const strangers = await registerForToken(app, aRegistration({ email }))
      t.equal((await resetPassword(app, { token: own, email: owner.email })).status, 422, 'another address')
      const altered = own?.replace(/.$/, '!') ?? null
      t.equal((await resetPassword(app, { token: altered, email })).status, 422)
      t.equal((await resetPassword(app, { token: own, email })).status, 200)
      t.match(await rowsOf(database, email), [{ name: first.name }])
      t.equal((await resetPassword(app, { token: strangers, email })).status, 422)
      t.equal((await rowsOf(database, email)).length, 1)
    })

    await t.test('other invalid fields and a taken name return 422', async t => {
      const owner = await aUser(database)
      for (const [change, field] of [
        [{ name: owner.name }, 'name'],
        [{ email: 'no-at-sign' }, 'email'],
        [withConfirmation('short'), 'password'],
        [{ terms: null }, 'terms'],
      ] as const) {
        for (const email of [owner.email, anEmail()]) {
          const { status, json } = await register(app, aRegistration({ email, ...change }))
          t.equal(status, 422)
          t.strictSame(Object.keys(json.errors), [field])
        }
      }
    })

    await t.test('the address of a deleted account gets no mail', async t => {
      const deleted = await aUser(database)
      await database.kysely
        .updateTable('users')
        .set({ deleted_at: '2026-02-28 00:00:00' })
        .where('id', '=', deleted.id)
        .execute()
      t.equal((await register(app, aRegistration({ email: deleted.email }))).status, 201)
      const next = aRegistration()
      await register(app, next)
      t.equal((await app.mailbox.nextTo(next.email)).to.address, next.email, 'a later mail has arrived')
      t.strictSame(app.mailbox.mailsTo(deleted.email), [])
      t.equal((await rowsOf(database, deleted.email)).length, 1)
    })

    await t.test('a change to a free and to a taken address gets the same answer', async t => {
      const owner = await aUser(database)
      const { user, browser } = await aLoggedInUser(app, database, { confirmed: true })
      const email = anEmail()
      const free = await changeProfile(browser, { email })
      t.equal(free.status, 200)
      t.match(await app.mailbox.nextTo(email), {
        subject: 'Confirm your new e-mail address at AnimeThemes',
      })
      const taken = await changeProfile(browser, { email: owner.email })
      t.strictSame(visible(taken), visible(free))
      t.match(await app.mailbox.nextTo(owner.email), { subject: 'You have an account at AnimeThemes' })
      t.equal((await browser.post('/email/verification-notification', {})).status, 200)
      t.match(await app.mailbox.nextTo(owner.email), { subject: 'You have an account at AnimeThemes' })
      const [row] = await rowsOf(database, user.email)
      t.equal(row?.id, user.id, 'the address is not changed')
    })

    await t.test('a user whose address is not verified cannot change it', async t => {
      const owner = await aUser(database)
      const { browser } = await aLoggedInUser(app, database, { verified: false })
      for (const email of [owner.email, anEmail()]) {
        const { status, json } = await changeProfile(browser, { email })
        t.equal(status, 422)
        t.match(json.errors, { email: [/^Verify your present e-mail address before you change it/] })
      }
    })
  })
}

t.test('by default a taken address returns 422, as in Laravel', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const app = await startApp(t, { database, environment: UNLIMITED })
  const owner = await aUser(database)
  const { status, json } = await register(app, aRegistration({ email: owner.email }))
  t.equal(status, 422)
  t.strictSame(json.errors, EMAIL_TAKEN)
})
