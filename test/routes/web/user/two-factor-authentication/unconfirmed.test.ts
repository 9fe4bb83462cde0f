import t, { type Test } from 'tap'
import { TestBrowser } from '../../../../fixtures/browser.ts'
import { aPanelUser, PanelBrowser, textOf } from '../../../../fixtures/panel.ts'
import { userById } from '../../../../fixtures/registration.ts'
import {
  answerChallenge,
  confirmSecondFactor,
  enableSecondFactor,
  QR_CODE_PATH,
  RECOVERY_CODES_PATH,
  recoveryCodesIn,
  SECRET_KEY_PATH,
  STEP,
  secretKeyIn,
  totpCode,
  WRONG_CODE,
} from '../../../../fixtures/second-factor.ts'
import { startUnlimited } from '../../../../fixtures/server.ts'
import { aMember, PASSWORD } from '../../../../fixtures/users.ts'
import type { TestApp } from '../../../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../../../support/databases.ts'

const PANEL = '/admin/second-factor'

const confirmPassword = (browser: TestBrowser) =>
  browser.post('/user/confirm-password', { password: PASSWORD })

/** A session of a user that has confirmed the password. */
async function startConfirmedSession(app: TestApp, user: { email: string; password: string }) {
  const browser = new TestBrowser(app)
  await browser.logIn(user)
  await confirmPassword(browser)
  return browser
}

/** A user for whom a thief enabled a second factor in a session, and did not confirm it. */
async function startWithPlantedFactor(t: Test, database: TestDatabase) {
  const app = await startUnlimited(t, database)
  const user = await aMember(database)
  const thief = await startConfirmedSession(app, user)
  const plant = await enableSecondFactor(t, thief)
  return { app, user, thief, plant, owner: await startConfirmedSession(app, user) }
}

/** A browser that has entered the password, and is asked for the second factor. */
async function startRequiredChallenge(t: Test, app: TestApp, user: { email: string; password: string }) {
  const browser = new TestBrowser(app)
  const login = await browser.logIn(user)
  t.strictSame(login.json, { two_factor: true })
  return browser
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`an unconfirmed second factor of another session, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test(
      'a second factor that another session enabled is replaced when the owner enables one',
      async t => {
        const { app, user, plant, owner } = await startWithPlantedFactor(t, database)
        const own = await enableSecondFactor(t, owner)
        t.not(own.secret, plant.secret)
        t.equal(new Set([...own.codes, ...plant.codes]).size, 16)
        t.equal(app.mailbox.mails.length, 0, 'no mail is sent')

        const wrong = await confirmSecondFactor(owner, totpCode(plant.secret, app))
        t.equal(wrong.status, 422)
        t.strictSame(wrong.json.errors, WRONG_CODE)
        t.equal((await confirmSecondFactor(owner, totpCode(own.secret, app))).status, 200)

        app.clock.advance(2 * STEP)
        const login = await startRequiredChallenge(t, app, user)
        const answer = (payload: object) => answerChallenge(login, payload)
        t.equal((await answer({ code: totpCode(plant.secret, app) })).status, 422)
        for (const code of plant.codes) t.equal((await answer({ recovery_code: code })).status, 422)
        t.equal((await answer({ code: totpCode(own.secret, app) })).status, 204)
      },
    )

    await t.test('another session does not see an unconfirmed second factor', async t => {
      const { owner } = await startWithPlantedFactor(t, database)
      t.equal((await owner.get(SECRET_KEY_PATH)).status, 404)
      t.strictSame((await owner.get(QR_CODE_PATH)).json, [])
      t.strictSame(await recoveryCodesIn(owner), [])
    })

    await t.test('another session can neither confirm it nor change its recovery codes', async t => {
      const { app, user, owner, thief, plant } = await startWithPlantedFactor(t, database)
      const before = await userById(database, user.id)
      const wrong = await confirmSecondFactor(owner, totpCode(plant.secret, app))
      t.equal(wrong.status, 422)
      t.strictSame(wrong.json.errors, WRONG_CODE)
      t.equal((await owner.post(RECOVERY_CODES_PATH)).status, 200)
      t.strictSame(await userById(database, user.id), before)
      t.strictSame(await recoveryCodesIn(thief), plant.codes)
    })

    await t.test('the thief can neither see nor confirm the second factor of the owner', async t => {
      const { app, owner, thief, plant } = await startWithPlantedFactor(t, database)
      const own = await enableSecondFactor(t, owner)
      t.equal((await thief.get(SECRET_KEY_PATH)).status, 404)
      t.strictSame(await recoveryCodesIn(thief), [])
      for (const secret of [plant.secret, own.secret]) {
        t.equal((await confirmSecondFactor(thief, totpCode(secret, app))).status, 422)
      }
    })

    await t.test('an unconfirmed second factor of Laravel, of no known session, is replaced', async t => {
      const { app, user, owner, thief, plant } = await startWithPlantedFactor(t, database)
      await database.kysely.deleteFrom('recovery_code_times').where('user_id', '=', user.id).execute()
      for (const browser of [owner, thief]) {
        t.equal((await browser.get(SECRET_KEY_PATH)).status, 404)
        t.equal((await confirmSecondFactor(browser, totpCode(plant.secret, app))).status, 422)
      }
      const own = await enableSecondFactor(t, owner)
      t.not(own.secret, plant.secret)
      t.equal((await confirmSecondFactor(owner, totpCode(own.secret, app))).status, 200)
    })

    await t.test('enabling it again in the same session keeps it', async t => {
      const { thief: maker, plant } = await startWithPlantedFactor(t, database)
      t.strictSame(await enableSecondFactor(t, maker), plant)
    })

    await t.test('new recovery codes in the same session keep the secret', async t => {
      const { thief: maker, plant } = await startWithPlantedFactor(t, database)
      t.equal((await maker.post(RECOVERY_CODES_PATH)).status, 200)
      t.equal(new Set([...(await recoveryCodesIn(maker)), ...plant.codes]).size, 16)
      t.equal(await secretKeyIn(maker), plant.secret)
    })

    await t.test('a password confirmation, which changes the session id, keeps it', async t => {
      const { app, user, thief: maker, plant } = await startWithPlantedFactor(t, database)
      const before = maker.sessionId
      await confirmPassword(maker)
      t.not(maker.sessionId, before)
      t.strictSame(await enableSecondFactor(t, maker), plant)
      t.equal((await confirmSecondFactor(maker, totpCode(plant.secret, app))).status, 200)
      t.not((await userById(database, user.id)).two_factor_confirmed_at, null)
    })

    await t.test('a password confirmation of another session does not take it over', async t => {
      const { owner, thief: maker, plant } = await startWithPlantedFactor(t, database)
      await confirmPassword(owner)
      t.equal((await owner.get(SECRET_KEY_PATH)).status, 404)
      t.equal(await secretKeyIn(maker), plant.secret)
    })

    await t.test('confirming a confirmed second factor changes nothing', async t => {
      const { app, user, owner } = await startWithPlantedFactor(t, database)
      const { secret } = await enableSecondFactor(t, owner)
      await confirmSecondFactor(owner, totpCode(secret, app))
      const before = await userById(database, user.id)
      app.clock.advance(2 * STEP)
      const other = await startRequiredChallenge(t, app, user)
      await other.post('/two-factor-challenge', { code: totpCode(secret, app) })
      app.clock.advance(2 * STEP)
      t.equal((await confirmSecondFactor(owner, totpCode(secret, app))).status, 200)
      t.strictSame(await userById(database, user.id), before)
      t.equal((await other.get('/api/me')).status, 200)
      t.equal(app.logged.filter(({ msg }) => msg === 'second factor confirmed').length, 1)
    })

    await t.test('the panel does not show it, and enabling replaces it', async t => {
      const app = await startUnlimited(t, database)
      const { browser, user } = await aPanelUser(app, database)
      const thief = new PanelBrowser(app)
      await thief.logIn(user)
      const shownIn = ({ text }: { text: string }) => /<code id="secret">([^<]*)</.exec(text)?.[1] ?? ''
      const enable = async (panel: PanelBrowser) =>
        panel.submit(await panel.open(PANEL), `${PANEL}/enable`, { current_password: PASSWORD })
      const plant = shownIn(await enable(thief))
      t.match(plant, /^[A-Z2-7]{32}$/)

      t.match(textOf(await browser.open(PANEL)), /A second factor is an app on your phone/)
      const own = shownIn(await enable(browser))
      t.match(own, /^[A-Z2-7]{32}$/)
      t.not(own, plant)
      t.equal(shownIn(await browser.open(PANEL)), own)
      t.equal(shownIn(await thief.open(PANEL)), '')
    })
  })
}
