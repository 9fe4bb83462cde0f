import { Secret as OneTimeSecret, TOTP } from 'otpauth'
import t, { type Test } from 'tap'
import { TestBrowser } from '../../fixtures/browser.ts'
import { testClock } from '../../fixtures/clock.ts'
import { aUser, PASSWORD, type TestUser } from '../../fixtures/users.ts'
import { afterVerifying, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../support/databases.ts'

const NEW = 'Another-horse-2'
const UNLIMITED = {
  LOGIN_RATE_LIMIT: '100000',
  LOGIN_FAILURE_LIMIT: '100000',
  CONFIRM_PASSWORD_RATE_LIMIT: '100000',
  TWO_FACTOR_RATE_LIMIT: '100000',
  REGISTER_RATE_LIMIT: '100000',
  RATE_LIMIT_ANONYMOUS: '100000',
  RATE_LIMIT_AUTHENTICATED: '100000',
}
const ROUNDS = 100
const STEP = 30_000

type Member = TestUser & { password: string }

for (const engine of PRODUCTION_ENGINE) {
  t.test(`what happens while a password is hashed, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await whileHashing(t, database)
  })
}

t.test('over two instances, with the hash queue filled', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  await overTwoInstances(t, database)
})

const start = (t: Test, database: TestDatabase, clock = testClock()) =>
  startApp(t, { database, environment: UNLIMITED, clock })

const member = async (database: TestDatabase, options = {}): Promise<Member> => ({
  ...(await aUser(database, { password: PASSWORD, ...options })),
  password: PASSWORD,
})

/** Does something each time that a new password was hashed, before anything comes of it. */
function afterHashing(app: TestApp, act: () => Promise<unknown>) {
  const { hash } = app.credentials
  app.credentials.hash = async (...call) => {
    const hashed = await hash(...call)
    await act()
    return hashed
  }
}

const codeOf = (secret: string, at: number) =>
  new TOTP({ secret: OneTimeSecret.fromBase32(secret) }).generate({ timestamp: at })

/** Makes a second factor for whoever is logged in, and returns its secret. */
async function prepareSecondFactor(browser: TestBrowser): Promise<string> {
  await browser.post('/user/confirm-password', { password: PASSWORD })
  await browser.post('/user/two-factor-authentication', { force: true })
  return (await browser.get('/user/two-factor-secret-key')).json.secretKey
}

const confirmFactor = (browser: TestBrowser, code: string) =>
  browser.post('/user/confirmed-two-factor-authentication', { code })

const countOf = async ({ kysely }: TestDatabase, table: 'sessions' | 'remembered_devices', userId: number) =>
  (await kysely.selectFrom(table).select('user_id').where('user_id', '=', userId).execute()).length

async function ready(browser: TestBrowser) {
  await browser.get('/sanctum/csrf-cookie')
  return browser
}

async function whileHashing(t: Test, database: TestDatabase) {
  await t.test('a second factor that is confirmed meanwhile is asked for', async t => {
    const [app, other] = [await start(t, database), await start(t, database)]
    const user = await member(database)
    const owner = new TestBrowser(other)
    await owner.logIn(user)
    const secret = await prepareSecondFactor(owner)
    afterVerifying(app, async () => {
      t.equal((await confirmFactor(owner, codeOf(secret, other.clock()))).status, 200)
    })
    const thief = await ready(new TestBrowser(app))
    const answer = await thief.post('/login', { ...user, remember: true })
    t.strictSame(answer.json, { two_factor: true })
    t.equal((await thief.get('/api/me')).status, 401)
    t.equal(await countOf(database, 'remembered_devices', user.id), 0, 'and no device is remembered')
  })

  await t.test('an account that is deleted meanwhile gets no session and no device', async t => {
    const [app, other] = [await start(t, database), await start(t, database)]
    const user = await member(database)
    const owner = new TestBrowser(other)
    await owner.logIn(user)
    await owner.post('/user/confirm-password', { password: PASSWORD })
    afterVerifying(app, async () => {
      t.equal((await owner.send('DELETE', '/user')).status, 204)
    })
    const late = await ready(new TestBrowser(app))
    t.equal((await late.post('/login', { ...user, remember: true })).status, 422)
    t.equal(await countOf(database, 'sessions', user.id), 0)
    t.equal(await countOf(database, 'remembered_devices', user.id), 0)
    const { kysely } = database
    await kysely.updateTable('users').set({ deleted_at: null }).where('id', '=', user.id).execute()
    t.equal((await late.get('/api/me')).status, 401, 'even if it comes back')
    const addresses = kysely.selectFrom('login_addresses').select('address').where('user_id', '=', user.id)
    t.equal((await addresses.execute()).length, 1, 'nor is the address one that it logged in from')
  })

  await t.test('a password that is changed meanwhile opens nothing any more', async t => {
    const [app, other] = [await start(t, database), await start(t, database)]
    const user = await member(database)
    const owner = new TestBrowser(other)
    await owner.logIn(user)
    const payload = { current_password: PASSWORD, password: NEW, password_confirmation: NEW }
    afterVerifying(app, () => owner.send('PUT', '/user/password', { payload }))
    const thief = await ready(new TestBrowser(app))
    t.equal((await thief.post('/login', { ...user, remember: true })).status, 422)
    t.equal(await countOf(database, 'sessions', user.id), 1)
    t.equal(await countOf(database, 'remembered_devices', user.id), 0)
  })

  await t.test('a session that ends meanwhile confirms no password, and changes none', async t => {
    const [app, other] = [await start(t, database), await start(t, database)]
    const user = await member(database)
    const [owner, thief] = [new TestBrowser(other), new TestBrowser(app)]
    await owner.logIn(user)
    await thief.logIn(user)
    afterVerifying(app, () => owner.send('DELETE', '/api/me/session'))
    t.equal((await thief.post('/user/confirm-password', { password: PASSWORD })).status, 401)
    const second = new TestBrowser(other)
    await second.logIn(user)
    const moved = second.clone(app)
    const payload = { current_password: PASSWORD, password: NEW, password_confirmation: NEW }
    t.equal((await moved.send('PUT', '/user/password', { payload })).status, 401)
    t.equal((await new TestBrowser(other).logIn(user)).status, 200, 'the password is what it was')
  })

  await t.test('a session that ends while the new password is hashed changes none', async t => {
    const [app, other] = [await start(t, database), await start(t, database)]
    const user = await member(database)
    const [owner, thief] = [new TestBrowser(other), new TestBrowser(app)]
    await owner.logIn(user)
    await thief.logIn(user)
    afterHashing(app, () => owner.send('DELETE', '/api/me/session'))
    const payload = { current_password: PASSWORD, password: NEW, password_confirmation: NEW }
    t.equal((await thief.send('PUT', '/user/password', { payload })).status, 401)
    t.equal((await new TestBrowser(other).logIn(user)).status, 200)
  })

  await t.test('a session that ends while a name is moderated changes no profile', async t => {
    const [app, other] = [await start(t, database), await start(t, database)]
    const user = await member(database)
    const [owner, thief] = [new TestBrowser(other), new TestBrowser(app)]
    await owner.logIn(user)
    await thief.logIn(user)
    const { profileErrors } = app.screening
    app.screening.profileErrors = async (...call) => {
      const errors = await profileErrors(...call)
      await owner.send('DELETE', '/api/me/session')
      return errors
    }
    const payload = { name: `renamed-${user.id}` }
    t.equal((await thief.send('PUT', '/user/profile-information', { payload })).status, 401)
    t.equal((await owner.get('/api/me')).json.user.name, user.name)
  })

  await t.test('an address that is verified while a name is moderated does not change at once', async t => {
    const app = await start(t, database)
    const user = await member(database, { verified: false })
    const browser = new TestBrowser(app)
    await browser.logIn(user)
    const { profileErrors } = app.screening
    app.screening.profileErrors = async (...call) => {
      const errors = await profileErrors(...call)
      await database.kysely
        .updateTable('users')
        .set({ email_verified_at: '2026-03-01 12:00:00' })
        .where('id', '=', user.id)
        .execute()
      return errors
    }
    const payload = { email: `moved-${user.email}` }
    t.equal((await browser.send('PUT', '/user/profile-information', { payload })).status, 422)
    t.equal((await browser.get('/api/me')).json.user.email, user.email)
  })
}

async function overTwoInstances(t: Test, database: TestDatabase) {
  const clock = testClock()
  const [one, two] = [await start(t, database, clock), await start(t, database, clock)]

  /** Has both instances hash passwords that are wrong, so that whatever comes now waits behind them. */
  const fill = async () => {
    const guest = await ready(new TestBrowser(one))
    return [one, two].flatMap(app =>
      Array.from({ length: 8 }, (_, n) =>
        guest.clone(app).post('/login', { email: `nobody-${n}@example.org`, password: 'wrong' }),
      ),
    )
  }

  await t.test('no login gets past a second factor that was confirmed', async t => {
    const user = await member(database)
    const owner = new TestBrowser(one)
    const outcomes = { before: 0, after: 0, survived: 0 }
    for (let round = 0; round < ROUNDS; round += 1) {
      await database.kysely
        .updateTable('users')
        .set({ two_factor_secret: null, two_factor_recovery_codes: null, two_factor_confirmed_at: null })
        .where('id', '=', user.id)
        .execute()
      await owner.logIn(user)
      const secret = await prepareSecondFactor(owner)
      const thief = await ready(new TestBrowser(two))
      const filled = await fill()
      const [login, confirmed] = await Promise.all([
        thief.post('/login', { ...user, remember: true }),
        confirmFactor(owner, codeOf(secret, clock())),
      ])
      await Promise.all(filled)
      if (confirmed.status !== 200) t.fail(`the confirmation was refused: ${confirmed.text}`)
      if (login.json.two_factor) outcomes.after += 1
      else outcomes.before += 1
      if ((await thief.get('/api/me')).status === 200) outcomes.survived += 1
      thief.cookies.delete('animethemes_session')
      if ((await thief.get('/api/me')).status === 200) outcomes.survived += 1
      clock.advance(STEP)
    }
    t.equal(outcomes.survived, 0, JSON.stringify(outcomes))
    t.equal(outcomes.before + outcomes.after, ROUNDS)
  })

  await t.test('no login outlives the deletion of its account', async t => {
    let survived = 0
    for (let round = 0; round < ROUNDS; round += 1) {
      const user = await member(database)
      const owner = new TestBrowser(one)
      await owner.logIn(user)
      await owner.post('/user/confirm-password', { password: PASSWORD })
      const late = await ready(new TestBrowser(two))
      const filled = await fill()
      const [, deleted] = await Promise.all([
        late.post('/login', { ...user, remember: true }),
        owner.send('DELETE', '/user'),
      ])
      await Promise.all(filled)
      if (deleted.status !== 204) t.fail(deleted.text)
      survived += await countOf(database, 'sessions', user.id)
      survived += await countOf(database, 'remembered_devices', user.id)
    }
    t.equal(survived, 0)
  })

  await t.test('a challenge leads to one session, whatever answers it at once', async t => {
    const user = await member(database)
    const owner = new TestBrowser(one)
    await owner.logIn(user)
    const secret = await prepareSecondFactor(owner)
    await confirmFactor(owner, codeOf(secret, clock()))
    const codes: string[] = (await owner.get('/user/two-factor-recovery-codes')).json
    t.equal(codes.length, 8)
    let [answered, sessions] = [0, 0]
    for (let round = 0; round < ROUNDS; round += 1) {
      clock.advance(STEP)
      if (round % 10 === 0) {
        const proof = { code: codeOf(secret, clock()) }
        await owner.post('/user/confirm-password', { password: PASSWORD })
        t.equal((await owner.post('/user/two-factor-recovery-codes', proof)).status, 200)
        codes.splice(0, 8, ...(await owner.get('/user/two-factor-recovery-codes')).json)
        clock.advance(STEP)
      }
      const before = await countOf(database, 'sessions', user.id)
      const pending = await ready(new TestBrowser(one))
      await pending.post('/login', user)
      const answers = await Promise.all([
        pending.clone(one).post('/two-factor-challenge', { code: codeOf(secret, clock()) }),
        pending.clone(two).post('/two-factor-challenge', { recovery_code: codes[0] }),
        pending.clone(two).post('/two-factor-challenge', { code: codeOf(secret, clock()) }),
      ])
      answered += answers.filter(({ status }) => status === 204).length
      sessions += (await countOf(database, 'sessions', user.id)) - before
      // A recovery code that was used has given way to another one.
      codes.splice(0, 1)
      if (codes.length === 0) codes.push('used-up')
    }
    t.equal(answered, ROUNDS, 'each is answered once')
    t.equal(sessions, ROUNDS)
  })

  await t.test('no login with the old password outlives its change', async t => {
    let survived = 0
    for (let round = 0; round < ROUNDS; round += 1) {
      const user = await member(database)
      const owner = new TestBrowser(one)
      await owner.logIn(user)
      const late = await ready(new TestBrowser(two))
      const filled = await fill()
      const payload = { current_password: PASSWORD, password: NEW, password_confirmation: NEW }
      const [, changed] = await Promise.all([
        late.post('/login', { ...user, remember: true }),
        owner.send('PUT', '/user/password', { payload }),
      ])
      await Promise.all(filled)
      if (changed.status !== 200) t.fail(changed.text)
      if ((await late.get('/api/me')).status === 200) survived += 1
      late.cookies.delete('animethemes_session')
      if ((await late.get('/api/me')).status === 200) survived += 1
    }
    t.equal(survived, 0)
  })
}
