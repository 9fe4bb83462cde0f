import t, { type Test } from 'tap'
import { TestBrowser } from '../../fixtures/browser.ts'
import { aPanelUser, PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { totpCode } from '../../fixtures/second-factor.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aUser, PASSWORD } from '../../fixtures/users.ts'
import { startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../support/databases.ts'

const STEP = 30_000
const FACTOR = '/user/two-factor-authentication'
const CONFIRM = '/user/confirmed-two-factor-authentication'
const CODES = '/user/two-factor-recovery-codes'
const QR_CODE = '/user/two-factor-qr-code'
const SECRET = '/user/two-factor-secret-key'
const PANEL = '/admin/second-factor'
const WRONG_CODE = { code: ['The provided two factor authentication code was invalid.'] }

for (const engine of PRODUCTION_ENGINE) {
  t.test(`a second factor that another session made, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await otherSession(t, database)
    await sameSession(t, database)
    await confirmedAlready(t, database)
    await onThePanel(t, database)
  })
}

const confirmPassword = (browser: TestBrowser) =>
  browser.post('/user/confirm-password', { password: PASSWORD })

async function confirmedSession(app: TestApp, user: { email: string }) {
  const browser = new TestBrowser(app)
  await browser.logIn({ email: user.email, password: PASSWORD })
  await confirmPassword(browser)
  return browser
}

const secretIn = async (browser: TestBrowser): Promise<string> => (await browser.get(SECRET)).json.secretKey
const codesIn = async (browser: TestBrowser): Promise<string[]> => (await browser.get(CODES)).json

/** Makes a second factor, and reads all of it. */
async function enable(browser: TestBrowser) {
  const { status } = await browser.post(FACTOR)
  t.equal(status, 200)
  return { secret: await secretIn(browser), codes: await codesIn(browser) }
}

/** A user whose second factor was made, and not confirmed, in a session of a thief. */
async function planted(t: Test, database: TestDatabase) {
  const app = await startApp(t, { database, environment: UNLIMITED })
  const user = await aUser(database, { password: PASSWORD })
  const thief = await confirmedSession(app, user)
  const plant = await enable(thief)
  return { app, user, thief, plant, owner: await confirmedSession(app, user) }
}

const row = ({ kysely }: TestDatabase, { id }: { id: number }) =>
  kysely.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirstOrThrow()

async function challenged(app: TestApp, user: { email: string }) {
  const browser = new TestBrowser(app)
  const login = await browser.logIn({ email: user.email, password: PASSWORD })
  t.strictSame(login.json, { two_factor: true })
  return browser
}

async function otherSession(t: Test, database: TestDatabase) {
  await t.test('is replaced when the owner enables one, and opens nothing after that', async t => {
    const { app, user, plant, owner } = await planted(t, database)
    const own = await enable(owner)
    t.not(own.secret, plant.secret)
    t.equal(new Set([...own.codes, ...plant.codes]).size, 16)
    t.equal(app.mailbox.mails.length, 0, 'none was on that a mail could tell of')

    const wrong = await owner.post(CONFIRM, { code: totpCode(plant.secret, app) })
    t.equal(wrong.status, 422)
    t.strictSame(wrong.json.errors, WRONG_CODE)
    t.equal((await owner.post(CONFIRM, { code: totpCode(own.secret, app) })).status, 200)

    app.clock.advance(2 * STEP)
    const login = await challenged(app, user)
    const answer = (payload: object) => login.post('/two-factor-challenge', payload)
    t.equal((await answer({ code: totpCode(plant.secret, app) })).status, 422)
    for (const code of plant.codes) t.equal((await answer({ recovery_code: code })).status, 422)
    t.equal((await answer({ code: totpCode(own.secret, app) })).status, 204)
  })

  await t.test('is not shown', async t => {
    const { owner } = await planted(t, database)
    t.equal((await owner.get(SECRET)).status, 404)
    t.strictSame((await owner.get(QR_CODE)).json, [])
    t.strictSame(await codesIn(owner), [])
  })

  await t.test('is not confirmed, and its recovery codes stay as they are', async t => {
    const { app, user, owner, thief, plant } = await planted(t, database)
    const before = await row(database, user)
    const wrong = await owner.post(CONFIRM, { code: totpCode(plant.secret, app) })
    t.equal(wrong.status, 422)
    t.strictSame(wrong.json.errors, WRONG_CODE)
    t.equal((await owner.post(CODES)).status, 200)
    t.strictSame(await row(database, user), before)
    t.strictSame(await codesIn(thief), plant.codes)
  })

  await t.test('is not given back to the thief by the one of the owner', async t => {
    const { app, owner, thief, plant } = await planted(t, database)
    const own = await enable(owner)
    t.equal((await thief.get(SECRET)).status, 404)
    t.strictSame(await codesIn(thief), [])
    for (const secret of [plant.secret, own.secret]) {
      t.equal((await thief.post(CONFIRM, { code: totpCode(secret, app) })).status, 422)
    }
  })

  await t.test('is replaced as well when no session is known to have made it, as of Laravel', async t => {
    const { app, user, owner, thief, plant } = await planted(t, database)
    await database.kysely.deleteFrom('recovery_code_times').where('user_id', '=', user.id).execute()
    for (const browser of [owner, thief]) {
      t.equal((await browser.get(SECRET)).status, 404)
      t.equal((await browser.post(CONFIRM, { code: totpCode(plant.secret, app) })).status, 422)
    }
    const own = await enable(owner)
    t.not(own.secret, plant.secret)
    t.equal((await owner.post(CONFIRM, { code: totpCode(own.secret, app) })).status, 200)
  })
}

async function sameSession(t: Test, database: TestDatabase) {
  await t.test('stays for the session that made it, over a second request', async t => {
    const { thief: maker, plant } = await planted(t, database)
    t.strictSame(await enable(maker), plant)
  })

  await t.test('stays for it when its recovery codes are made anew', async t => {
    const { thief: maker, plant } = await planted(t, database)
    t.equal((await maker.post(CODES)).status, 200)
    t.equal(new Set([...(await codesIn(maker)), ...plant.codes]).size, 16)
    t.equal(await secretIn(maker), plant.secret)
  })

  await t.test('stays for it when the password is confirmed again, under its new id alone', async t => {
    const { app, user, thief: maker, plant } = await planted(t, database)
    const before = maker.sessionId
    await confirmPassword(maker)
    t.not(maker.sessionId, before)
    t.strictSame(await enable(maker), plant)
    t.equal((await maker.post(CONFIRM, { code: totpCode(plant.secret, app) })).status, 200)
    t.not((await row(database, user)).two_factor_confirmed_at, null)
  })

  await t.test('does not go to a session whose password is confirmed meanwhile', async t => {
    const { owner, thief: maker, plant } = await planted(t, database)
    await confirmPassword(owner)
    t.equal((await owner.get(SECRET)).status, 404)
    t.equal(await secretIn(maker), plant.secret)
  })
}

async function confirmedAlready(t: Test, database: TestDatabase) {
  await t.test('once confirmed, another right code changes nothing', async t => {
    const { app, user, owner } = await planted(t, database)
    const { secret } = await enable(owner)
    await owner.post(CONFIRM, { code: totpCode(secret, app) })
    const before = await row(database, user)
    app.clock.advance(2 * STEP)
    const other = await challenged(app, user)
    await other.post('/two-factor-challenge', { code: totpCode(secret, app) })
    app.clock.advance(2 * STEP)
    t.equal((await owner.post(CONFIRM, { code: totpCode(secret, app) })).status, 200)
    t.strictSame(await row(database, user), before)
    t.equal((await other.get('/api/me')).status, 200)
    t.equal(app.logged.filter(({ msg }) => msg === 'second factor confirmed').length, 1)
  })
}

async function onThePanel(t: Test, database: TestDatabase) {
  await t.test('is none on the panel, where enabling makes another one', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const { browser, user } = await aPanelUser(app, database)
    const thief = new PanelBrowser(app)
    await thief.logIn({ email: user.email, password: PASSWORD })
    const shownIn = ({ text }: { text: string }) => /<code id="secret">([^<]*)</.exec(text)?.[1] ?? ''
    const begin = async (panel: PanelBrowser) =>
      panel.submit(await panel.open(PANEL), `${PANEL}/enable`, { current_password: PASSWORD })
    const plant = shownIn(await begin(thief))
    t.match(plant, /^[A-Z2-7]{32}$/)

    t.match(textOf(await browser.open(PANEL)), /A second factor is an app on your phone/)
    const own = shownIn(await begin(browser))
    t.match(own, /^[A-Z2-7]{32}$/)
    t.not(own, plant)
    t.equal(shownIn(await browser.open(PANEL)), own)
    t.equal(shownIn(await thief.open(PANEL)), '')
  })
}
