import t, { type Test } from 'tap'
import { openBrowser, TestBrowser } from '../../../fixtures/browser.ts'
import { changePassword } from '../../../fixtures/passwords.ts'
import {
  confirmSecondFactor,
  enableSecondFactor,
  RECOVERY_CODES_PATH,
  recoveryCodesIn,
  STEP,
  totpCode,
} from '../../../fixtures/second-factor.ts'
import { startTwoInstances, startUnlimited } from '../../../fixtures/server.ts'
import { SESSION_COOKIE } from '../../../fixtures/sessions.ts'
import { aMember, PASSWORD } from '../../../fixtures/users.ts'
import { afterVerifying, type TestApp } from '../../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../../support/databases.ts'

/** How often each race is run. */
const ROUNDS = 30

const NO_FAILURE_LIMIT = { LOGIN_FAILURE_LIMIT: '100000' }

const start = (t: Test, database: TestDatabase) => startUnlimited(t, database, NO_FAILURE_LIMIT)

/** Has two instances verify wrong passwords, so that later requests wait behind them. */
async function fillHashQueues(one: TestApp, two: TestApp) {
  const guest = await openBrowser(one)
  return [one, two].flatMap(app =>
    Array.from({ length: 8 }, (_, n) =>
      guest.clone(app).post('/login', { email: `no-account-${n}@example.org`, password: 'wrong' }),
    ),
  )
}

/** Runs an action each time that a new password was hashed, before its result is used. */
function afterHashing(app: TestApp, act: () => Promise<unknown>) {
  const { hash } = app.credentials
  app.credentials.hash = async (...call) => {
    const hashed = await hash(...call)
    await act()
    return hashed
  }
}

/** Enables a second factor without confirming it, and returns its secret. */
async function startSecondFactor(t: Test, browser: TestBrowser): Promise<string> {
  await browser.post('/user/confirm-password', { password: PASSWORD })
  return (await enableSecondFactor(t, browser, { force: true })).secret
}

const countOf = async ({ kysely }: TestDatabase, table: 'sessions' | 'remembered_devices', userId: number) =>
  (await kysely.selectFrom(table).select('user_id').where('user_id', '=', userId).execute()).length
for (const engine of PRODUCTION_ENGINE) {
  t.test(`changes while a password is hashed, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test('a second factor that is confirmed during a login is asked for', async t => {
      const [app, other] = [await start(t, database), await start(t, database)]
      const user = await aMember(database)
      const owner = new TestBrowser(other)
      await owner.logIn(user)
      const secret = await startSecondFactor(t, owner)
      afterVerifying(app, async () => {
        t.equal((await confirmSecondFactor(owner, totpCode(secret, other))).status, 200)
      })
      const thief = await openBrowser(app)
      const answer = await thief.post('/login', { ...user, remember: true })
      t.strictSame(answer.json, { two_factor: true })
      t.equal((await thief.get('/api/me')).status, 401)
      t.equal(await countOf(database, 'remembered_devices', user.id), 0, 'no device is remembered')
    })

    await t.test('an account that is deleted during a login gets no session and no device', async t => {
      const [app, other] = [await start(t, database), await start(t, database)]
      const user = await aMember(database)
      const owner = new TestBrowser(other)
      await owner.logIn(user)
      await owner.post('/user/confirm-password', { password: PASSWORD })
      afterVerifying(app, async () => {
        t.equal((await owner.send('DELETE', '/user')).status, 204)
      })
      const late = await openBrowser(app)
      t.equal((await late.post('/login', { ...user, remember: true })).status, 422)
      t.equal(await countOf(database, 'sessions', user.id), 0)
      t.equal(await countOf(database, 'remembered_devices', user.id), 0)
      const { kysely } = database
      await kysely.updateTable('users').set({ deleted_at: null }).where('id', '=', user.id).execute()
      t.equal((await late.get('/api/me')).status, 401, 'not even if the account is restored')
      const addresses = kysely.selectFrom('login_addresses').select('address').where('user_id', '=', user.id)
      t.equal((await addresses.execute()).length, 1, 'the address of the login is not stored')
    })

    await t.test('a password that is changed during a login is refused', async t => {
      const [app, other] = [await start(t, database), await start(t, database)]
      const user = await aMember(database)
      const owner = new TestBrowser(other)
      await owner.logIn(user)
      afterVerifying(app, () => changePassword(owner))
      const thief = await openBrowser(app)
      t.equal((await thief.post('/login', { ...user, remember: true })).status, 422)
      t.equal(await countOf(database, 'sessions', user.id), 1)
      t.equal(await countOf(database, 'remembered_devices', user.id), 0)
    })

    await t.test(
      'a session that ends during the verification can neither confirm nor change the password',
      async t => {
        const [app, other] = [await start(t, database), await start(t, database)]
        const user = await aMember(database)
        const [owner, thief] = [new TestBrowser(other), new TestBrowser(app)]
        await owner.logIn(user)
        await thief.logIn(user)
        afterVerifying(app, () => owner.send('DELETE', '/api/me/session'))
        t.equal((await thief.post('/user/confirm-password', { password: PASSWORD })).status, 401)
        const second = new TestBrowser(other)
        await second.logIn(user)
        const moved = second.clone(app)
        t.equal((await changePassword(moved)).status, 401)
        t.equal((await new TestBrowser(other).logIn(user)).status, 200, 'the password is unchanged')
      },
    )

    await t.test('a session that ends while the new password is hashed cannot change it', async t => {
      const [app, other] = [await start(t, database), await start(t, database)]
      const user = await aMember(database)
      const [owner, thief] = [new TestBrowser(other), new TestBrowser(app)]
      await owner.logIn(user)
      await thief.logIn(user)
      afterHashing(app, () => owner.send('DELETE', '/api/me/session'))
      t.equal((await changePassword(thief)).status, 401)
      t.equal((await new TestBrowser(other).logIn(user)).status, 200)
    })

    await t.test('a session that ends while a name is moderated cannot change the profile', async t => {
      const [app, other] = [await start(t, database), await start(t, database)]
      const user = await aMember(database)
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

    await t.test(
      'an address that is verified while a name is moderated is not changed without a confirmation',
      async t => {
        const app = await start(t, database)
        const user = await aMember(database, { verified: false })
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
      },
    )
  })
}

// Only PostgreSQL interleaves the statements of two instances.
t.test('logins on two instances with full hash queues', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())

  await t.test('no login bypasses a second factor that is confirmed concurrently', async t => {
    const { clock, one, two } = await startTwoInstances(t, database, NO_FAILURE_LIMIT)
    const user = await aMember(database)
    const owner = new TestBrowser(one)
    const outcomes = { before: 0, after: 0, survived: 0 }
    for (let round = 0; round < ROUNDS; round += 1) {
      await database.kysely
        .updateTable('users')
        .set({ two_factor_secret: null, two_factor_recovery_codes: null, two_factor_confirmed_at: null })
        .where('id', '=', user.id)
        .execute()
      await owner.logIn(user)
      const secret = await startSecondFactor(t, owner)
      const thief = await openBrowser(two)
      const filled = await fillHashQueues(one, two)
      const [login, confirmed] = await Promise.all([
        thief.post('/login', { ...user, remember: true }),
        confirmSecondFactor(owner, totpCode(secret, one)),
      ])
      await Promise.all(filled)
      if (confirmed.status !== 200) t.fail(`the confirmation was refused: ${confirmed.text}`)
      if (login.json.two_factor) outcomes.after += 1
      else outcomes.before += 1
      if ((await thief.get('/api/me')).status === 200) outcomes.survived += 1
      thief.cookies.delete(SESSION_COOKIE)
      if ((await thief.get('/api/me')).status === 200) outcomes.survived += 1
      clock.advance(STEP)
    }
    t.equal(outcomes.survived, 0, JSON.stringify(outcomes))
    t.equal(outcomes.before + outcomes.after, ROUNDS)
  })

  await t.test('no session outlives the concurrent deletion of its account', async t => {
    const { one, two } = await startTwoInstances(t, database, NO_FAILURE_LIMIT)
    let survived = 0
    for (let round = 0; round < ROUNDS; round += 1) {
      const user = await aMember(database)
      const owner = new TestBrowser(one)
      await owner.logIn(user)
      await owner.post('/user/confirm-password', { password: PASSWORD })
      const late = await openBrowser(two)
      const filled = await fillHashQueues(one, two)
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

  await t.test('concurrent answers to a challenge begin one session', async t => {
    const { clock, one, two } = await startTwoInstances(t, database, NO_FAILURE_LIMIT)
    const user = await aMember(database)
    const owner = new TestBrowser(one)
    await owner.logIn(user)
    const secret = await startSecondFactor(t, owner)
    await confirmSecondFactor(owner, totpCode(secret, one))
    const codes: string[] = await recoveryCodesIn(owner)
    t.equal(codes.length, 8)
    let [answered, sessions] = [0, 0]
    for (let round = 0; round < ROUNDS; round += 1) {
      clock.advance(STEP)
      if (round % 10 === 0) {
        const proof = { code: totpCode(secret, one) }
        await owner.post('/user/confirm-password', { password: PASSWORD })
        t.equal((await owner.post(RECOVERY_CODES_PATH, proof)).status, 200)
        codes.splice(0, 8, ...(await recoveryCodesIn(owner)))
        clock.advance(STEP)
      }
      const before = await countOf(database, 'sessions', user.id)
      const pending = await openBrowser(one)
      await pending.post('/login', user)
      const answers = await Promise.all([
        pending.clone(one).post('/two-factor-challenge', { code: totpCode(secret, one) }),
        pending.clone(two).post('/two-factor-challenge', { recovery_code: codes[0] }),
        pending.clone(two).post('/two-factor-challenge', { code: totpCode(secret, one) }),
      ])
      answered += answers.filter(({ status }) => status === 204).length
      sessions += (await countOf(database, 'sessions', user.id)) - before
      // A used recovery code has been replaced.
      codes.splice(0, 1)
      if (codes.length === 0) codes.push('used-up')
    }
    t.equal(answered, ROUNDS, 'each challenge is answered once')
    t.equal(sessions, ROUNDS)
  })

  await t.test('no session of the old password outlives its concurrent change', async t => {
    const { one, two } = await startTwoInstances(t, database, NO_FAILURE_LIMIT)
    let survived = 0
    for (let round = 0; round < ROUNDS; round += 1) {
      const user = await aMember(database)
      const owner = new TestBrowser(one)
      await owner.logIn(user)
      const late = await openBrowser(two)
      const filled = await fillHashQueues(one, two)
      const [, changed] = await Promise.all([
        late.post('/login', { ...user, remember: true }),
        changePassword(owner),
      ])
      await Promise.all(filled)
      if (changed.status !== 200) t.fail(changed.text)
      if ((await late.get('/api/me')).status === 200) survived += 1
      late.cookies.delete(SESSION_COOKIE)
      if ((await late.get('/api/me')).status === 200) survived += 1
    }
    t.equal(survived, 0)
  })
})
