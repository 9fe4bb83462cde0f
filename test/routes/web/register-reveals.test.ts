import t from 'tap'
import type { PasswordHash } from '#src/auth/password.ts'
import { insertUser } from '#src/database/users.ts'
import { TestBrowser } from '../../fixtures/browser.ts'
import { MINUTE, NOW } from '../../fixtures/clock.ts'
import { linkIn } from '../../fixtures/mailbox.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aUser, PASSWORD } from '../../fixtures/users.ts'
import { type Answer, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

const CHOSEN = 'Another horse 2'
const SECRETIVE = { ...UNLIMITED, REGISTER_REVEALS: 'false' }

let last = 0
const form = (change: object = {}) => {
  last += 1
  const name = `quiet_${last}`
  return {
    name,
    email: `${name}@example.org`,
    password: PASSWORD,
    password_confirmation: PASSWORD,
    terms: true,
    ...change,
  }
}

async function open(app: TestApp): Promise<TestBrowser> {
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  return browser
}

/** What somebody sees of an answer who compares two. */
const seen = ({ status, text, headers, setCookies }: Answer) => ({
  status,
  text,
  headers: Object.keys(headers).sort(),
  cookies: setCookies.map(cookie => cookie.replace(/=[^;]*/, '=').replace(/Expires=[^;]*/i, '')),
})

const rolesOf = async ({ kysely }: TestDatabase, userId: number) =>
  (
    await kysely
      .selectFrom('model_has_roles')
      .innerJoin('roles', 'roles.id', 'model_has_roles.role_id')
      .select('roles.name')
      .where('model_id', '=', userId)
      .orderBy('roles.name')
      .execute()
  ).map(({ name }) => name)

const defaultRoles = async ({ kysely }: TestDatabase) =>
  (await kysely.selectFrom('roles').select('name').where('default', '=', true).orderBy('name').execute()).map(
    ({ name }) => name,
  )

const rowsOf = ({ kysely }: TestDatabase, email: string) =>
  kysely.selectFrom('users').selectAll().where('email', '=', email).execute()

for (const engine of ENGINES) {
  t.test(`REGISTER_REVEALS=false on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: SECRETIVE })
    const owner = await aUser(database, { password: PASSWORD })

    t.test('whoever registers is answered alike, and logged in in no case', async t => {
      const free = await open(app)
      const input = form()
      const answer = await free.post('/register', input)
      t.equal(answer.status, 201)
      t.equal(answer.text, '""')
      const toNewcomer = await app.mailbox.next()
      t.match(toNewcomer, { to: { address: input.email }, subject: 'Your account at AnimeThemes' })

      for (const email of [owner.email, owner.email.toUpperCase()]) {
        const taken = await open(app)
        const other = await taken.post('/register', form({ email }))
        t.strictSame(seen(other), seen(answer), email)
        const toOwner = await app.mailbox.next()
        t.match(toOwner, { to: { address: owner.email }, subject: 'You have an account at AnimeThemes' })
        t.equal(linkIn(toOwner).pathname, '/login')
        t.notMatch(toOwner.text, /quiet_/, 'what a stranger has entered is not passed on')
        t.equal((await taken.get('/api/me')).status, 401)
        t.equal((await rowsOf(database, owner.email)).length, 1)
      }
      t.equal((await free.get('/api/me')).status, 401)
    })

    t.test('nor does a login tell afterwards', async t => {
      const input = form()
      t.equal((await (await open(app)).post('/register', input)).status, 201)
      await app.mailbox.next()
      const stranger = form({
        email: owner.email,
        password: 'Stranger horse 3',
        password_confirmation: 'Stranger horse 3',
      })
      t.equal((await (await open(app)).post('/register', stranger)).status, 201)
      await app.mailbox.next()
      const answers = []
      for (const { email, password } of [input, stranger]) {
        answers.push(seen(await (await open(app)).post('/login', { email, password })))
      }
      t.equal(answers[0]?.status, 422)
      t.strictSame(answers[0], answers[1])
    })

    t.test("the mail's link leads to the account, with the password that is chosen then", async t => {
      const input = form()
      await (await open(app)).post('/register', input)
      const mail = await app.mailbox.next()
      t.match(mail.html, 'Choose a password')
      const link = linkIn(mail)
      t.equal(`${link.origin}${link.pathname}`, 'http://localhost:3000/reset-password')
      t.strictSame(await rowsOf(database, input.email), [], 'there is none before')
      const browser = await open(app)
      const chosen = { password: CHOSEN, password_confirmation: CHOSEN }
      const token = link.searchParams.get('token')
      const answer = await browser.post('/reset-password', { token, email: input.email, ...chosen })
      t.equal(answer.status, 200)
      t.equal((await browser.post('/login', { email: input.email, password: PASSWORD })).status, 422)
      t.equal((await browser.post('/login', { email: input.email, password: CHOSEN })).status, 200)
      const { json } = await browser.get('/api/me')
      t.equal(json.user.name, input.name)
      t.not(json.user.email_verified_at, null, 'who has the mail has the address')
      t.strictSame(
        await rolesOf(database, json.user.id),
        await defaultRoles(database),
        'and what users have by default',
      )
      const again = await (await open(app)).post('/reset-password', { token, email: input.email, ...chosen })
      t.equal(again.status, 422, 'and the link counts once')
    })

    t.test('nor does the name, which is of nobody before', async t => {
      for (const email of [owner.email, form().email]) {
        const input = form({ email })
        await (await open(app)).post('/register', input)
        await app.mailbox.next()
        const again = form({ name: input.name })
        t.equal((await (await open(app)).post('/register', again)).status, 201, email)
        await app.mailbox.next()
      }
    })

    t.test('a name that somebody got meanwhile has another end', async t => {
      const input = form()
      await (await open(app)).post('/register', input)
      const token = linkIn(await app.mailbox.next()).searchParams.get('token')
      await insertUser(database.kysely, {
        name: input.name.toUpperCase(),
        email: 'quicker@example.org',
        password: '!' as PasswordHash,
        verified: true,
        now: NOW,
      })
      const browser = await open(app)
      const chosen = { password: CHOSEN, password_confirmation: CHOSEN }
      const answer = await browser.post('/reset-password', { token, email: input.email, ...chosen })
      t.equal(answer.status, 200)
      const [row] = await rowsOf(database, input.email)
      t.match(row?.name, new RegExp(`^${input.name}-[A-Za-z0-9]{8}$`))
    })

    t.test('several with one address wait side by side, for an hour', async t => {
      const first = form()
      const chosen = { password: CHOSEN, password_confirmation: CHOSEN }
      const enter = async (token: string | null, email = first.email) =>
        (await (await open(app)).post('/reset-password', { token, email, ...chosen })).status
      const register = async (input: object) => {
        await (await open(app)).post('/register', input)
        return linkIn(await app.mailbox.next()).searchParams.get('token')
      }
      const late = await register(first)
      app.clock.advance(60 * MINUTE + 1_000)
      t.equal(await enter(late), 422, 'not any longer')
      const own = await register(first)
      const stranger = form({ email: first.email })
      const others = await register(stranger)
      t.equal(await enter(own, owner.email), 422, 'a token is for its address')
      t.equal(await enter(own?.replace(/.$/, '!') ?? null), 422)
      t.equal(await enter(own), 200)
      t.match(await rowsOf(database, first.email), [{ name: first.name }], 'a stranger took nothing')
      t.equal(await enter(others), 422, 'and the other one counts no more')
      t.equal((await rowsOf(database, first.email)).length, 1)
    })

    t.test('what is wrong with the rest of the form is told, and names are', async t => {
      const browser = await open(app)
      for (const [change, field] of [
        [{ name: owner.name }, 'name'],
        [{ email: 'nobody' }, 'email'],
        [{ password: 'short', password_confirmation: 'short' }, 'password'],
        [{ terms: null }, 'terms'],
      ] as const) {
        for (const email of [owner.email, form().email]) {
          const { status, json } = await browser.post('/register', form({ email, ...change }))
          t.equal(status, 422)
          t.strictSame(Object.keys(json.errors), [field])
        }
      }
    })

    t.test('of a deleted account nobody is told', async t => {
      const gone = await aUser(database)
      await database.kysely
        .updateTable('users')
        .set({ deleted_at: '2026-02-28 00:00:00' })
        .where('id', '=', gone.id)
        .execute()
      const before = app.mailbox.mails.length
      t.equal((await (await open(app)).post('/register', form({ email: gone.email }))).status, 201)
      const next = form()
      await (await open(app)).post('/register', next)
      t.equal((await app.mailbox.next()).to.address, next.email, 'the mail after is that of the next one')
      t.equal(app.mailbox.mails.length, before + 1)
      t.equal((await rowsOf(database, gone.email)).length, 1)
    })

    t.test('new addresses are answered alike', async t => {
      const user = await aUser(database, { password: PASSWORD })
      const browser = await open(app)
      await browser.logIn({ email: user.email, password: PASSWORD })
      t.equal((await browser.post('/user/confirm-password', { password: PASSWORD })).status, 201)
      const change = (email: string) =>
        browser.send('PUT', '/user/profile-information', { payload: { email } })
      const free = await change('quiet-new@example.org')
      t.equal(free.status, 200)
      t.match(await app.mailbox.next(), {
        to: { address: 'quiet-new@example.org' },
        subject: 'Confirm your new e-mail address at AnimeThemes',
      })
      const taken = await change(owner.email)
      t.strictSame(seen(taken), seen(free))
      t.match(await app.mailbox.next(), {
        to: { address: owner.email },
        subject: 'You have an account at AnimeThemes',
      })
      const again = await browser.post('/email/verification-notification', {})
      t.equal(again.status, 202)
      t.match(await app.mailbox.next(), { subject: 'You have an account at AnimeThemes' })
      const [row] = await rowsOf(database, user.email)
      t.equal(row?.id, user.id, 'it stays what it was')
    })

    t.test('a user whose address was never verified verifies it first', async t => {
      const user = await aUser(database, { password: PASSWORD, verified: false })
      const browser = await open(app)
      await browser.logIn({ email: user.email, password: PASSWORD })
      for (const email of [owner.email, 'quiet-free@example.org']) {
        const { status, json } = await browser.send('PUT', '/user/profile-information', {
          payload: { email },
        })
        t.equal(status, 422)
        t.match(json.errors, { email: [/^Verify your present e-mail address before you change it/] })
      }
    })
  })
}

t.test('by default it is told, as by Laravel', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const app = await startApp(t, { database, environment: UNLIMITED })
  const owner = await aUser(database)
  const { status, json } = await (await open(app)).post('/register', form({ email: owner.email }))
  t.equal(status, 422)
  t.strictSame(json.errors, { email: ['The email has already been taken.'] })
})
