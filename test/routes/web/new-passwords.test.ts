import { createServer } from 'node:http'
import t, { type Test } from 'tap'
import { hashPassword } from '#src/auth/password.ts'
import { insertUser } from '#src/database/users.ts'
import { TestBrowser } from '../../fixtures/browser.ts'
import { NOW } from '../../fixtures/clock.ts'
import { linkIn } from '../../fixtures/mailbox.ts'
import { PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { PASSWORD, TEST_ROUNDS } from '../../fixtures/users.ts'
import { startApp, type TestApp } from '../../support/app.ts'
import { createDatabase } from '../../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

const COMMON = 'The password is too common. Please choose a different password.'
const REPETITIVE =
  'The password mostly repeats itself or follows a sequence. Please choose a different password.'
const similarTo = (what: string) =>
  `The password is too similar to ${what}. Please choose a different password.`

/** Passwords and what is said of them, for the user `Nadia_Fox` with an address of `quillfeather`. */
const REFUSED: readonly (readonly [string, string])[] = [
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

const LONG = [
  'correct horse battery staple',
  'dreiundzwanzig rote vogel',
  '482019573821946',
  '日本語日本語の合言葉は長い山川',
]

let last = 0
/** A name, and an address with the local part `quillfeather`, that nobody has yet. */
const nobody = () => {
  last += 1
  return { name: `Nadia_Fox${last}`, email: `quillfeather@a${last}.example.org` }
}

const start = (t: Test, environment: Record<string, string> = {}) =>
  startApp(t, {
    database,
    environment: { APP_URL: 'http://accounts.example', ...UNLIMITED, ...environment },
  })

async function open(app: TestApp) {
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  return browser
}

const repeated = (password: string) => ({ password, password_confirmation: password })

async function register(app: TestApp, password: string, user = nobody()) {
  const browser = await open(app)
  return browser.post('/register', { ...user, ...repeated(password), terms: true })
}

/** A user of that kind, whose address is verified. */
async function member() {
  const user = nobody()
  const hash = await hashPassword(PASSWORD, TEST_ROUNDS)
  await insertUser(database.kysely, { ...user, password: hash, verified: true, now: NOW })
  return { ...user, password: PASSWORD }
}

/** Asks for a link to a new password, and returns its token. */
async function ask(app: TestApp, email: string) {
  await (await open(app)).post('/forgot-password', { email })
  return linkIn(await app.mailbox.next()).searchParams.get('token')
}

t.test('a password that is easily guessed is refused', async t => {
  await t.test('when somebody registers', async t => {
    const app = await start(t)
    for (const [password, sentence] of REFUSED) {
      const answer = await register(app, password)
      t.equal(answer.status, 422, password)
      t.strictSame(answer.json.errors, { password: [sentence] })
    }
  })

  await t.test('when users change theirs', async t => {
    const app = await start(t)
    const user = await member()
    const browser = await open(app)
    await browser.logIn(user)
    for (const [password, sentence] of REFUSED) {
      const payload = { current_password: PASSWORD, ...repeated(password) }
      const answer = await browser.send('PUT', '/user/password', { payload })
      t.equal(answer.status, 422, password)
      t.strictSame(answer.json.errors, { password: [sentence] })
    }
  })

  await t.test('when it is reset, of the name only with the token', async t => {
    const app = await start(t)
    const user = await member()
    const token = await ask(app, user.email)
    const browser = await open(app)
    const reset = (given: string | null, password: string) =>
      browser.post('/reset-password', { token: given, email: user.email, ...repeated(password) })
    for (const [password, sentence] of REFUSED) {
      t.strictSame((await reset(token, password)).json.errors, { password: [sentence] }, password)
    }
    t.strictSame(
      (await reset('wrong', 'N@d1a_F0x-2024')).json.errors,
      { email: ['This password reset token is invalid.'] },
      'nobody learns what the user of an address is called',
    )
    t.equal((await reset(token, 'Another-horse-2')).status, 200, 'and the token is still good')
  })

  await t.test('on the panel', async t => {
    const app = await start(t)
    const user = await member()
    const token = await ask(app, user.email)
    const guest = new PanelBrowser(app)
    const resetPage = await guest.open(`/admin/reset-password?token=${token}`)
    const browser = new PanelBrowser(app)
    await browser.logIn(user)
    const page = await browser.open('/admin/password')
    for (const [password, sentence] of REFUSED) {
      const changed = await browser.submit(page, '/admin/password', {
        current_password: PASSWORD,
        ...repeated(password),
      })
      t.equal(changed.status, 422, password)
      t.ok(textOf(changed).includes(sentence), password)
      const reset = await guest.submit(resetPage, '/admin/reset-password', {
        email: user.email,
        ...repeated(password),
      })
      t.equal(reset.status, 422, password)
      t.ok(textOf(reset).includes(sentence), password)
    }
  })
})

t.test('from fifteen characters on a password may be of any', async t => {
  const app = await start(t)
  for (const password of LONG) {
    const user = nobody()
    t.equal((await register(app, password, user)).status, 201, password)
    t.equal((await new TestBrowser(app).logIn({ ...user, password })).status, 200)
  }
  t.match((await register(app, 'four rote vogel')).status, 201, 'fifteen')
  t.strictSame((await register(app, 'vier rote vogel'.slice(1))).json.errors.password, [
    'The password must contain at least one uppercase and one lowercase letter.',
    'The password must contain at least one number.',
  ])
})

t.test('COMMON_PASSWORDS=off does without the list, and not without the other rules', async t => {
  const app = await start(t, { COMMON_PASSWORDS: 'off' })
  t.equal((await register(app, 'P@ssw0rd2024!')).status, 201)
  for (const [password, sentence] of REFUSED.filter(([, sentence]) => sentence !== COMMON)) {
    t.strictSame((await register(app, password)).json.errors, { password: [sentence] }, password)
  }
})

t.test('nobody else is asked about a password that is refused already', async t => {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    response.end('')
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const app = await start(t, { BREACHED_PASSWORDS_URL: `http://127.0.0.1:${port}/range/` })
  for (const [password] of REFUSED) await register(app, password)
  t.strictSame(asked, [])
  t.equal((await register(app, PASSWORD)).status, 201)
  t.equal(asked.length, 1)
})
