import t, { type Test } from 'tap'
import { TestBrowser } from '../../fixtures/browser.ts'
import { MINUTE } from '../../fixtures/clock.ts'
import { linkIn } from '../../fixtures/mailbox.ts'
import { PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { aMember, PASSWORD } from '../../fixtures/users.ts'
import { get, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../support/databases.ts'

const NEW = 'Another-horse-2'
const UNLIMITED = {
  REGISTER_RATE_LIMIT: '1000',
  LOGIN_RATE_LIMIT: '1000',
  CONFIRM_PASSWORD_RATE_LIMIT: '1000',
  FORGOT_PASSWORD_RATE_LIMIT: '1000',
  RATE_LIMIT_ANONYMOUS: '1000',
  // Others go to the address of the moment, and between those that count here.
  MAIL_SECURITY_EVENTS: 'email-changed,password-changed',
}

let made = 0
const someAddress = () => `takeover-${process.pid}-${++made}@example.org`

for (const engine of PRODUCTION_ENGINE) {
  t.test(`a thief with a confirmed session and a mailbox on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await pending(t, database)
    await returning(t, database)
    await resetting(t, database)
  })
}

const change = (browser: TestBrowser, email: string) =>
  browser.send('PUT', '/user/profile-information', { payload: { email } })
const follow = (browser: TestBrowser, { pathname, search }: URL) => browser.get(pathname + search)
const stored = ({ kysely }: TestDatabase, id: number) =>
  kysely.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirstOrThrow()

/** A user, and a thief who has copied the cookies of a session whose password was confirmed. */
async function victim(t: Test, database: TestDatabase, environment = {}, options = {}) {
  const app = await startApp(t, { database, environment: { ...UNLIMITED, ...environment } })
  const user = await aMember(database, options)
  const browser = new TestBrowser(app)
  await browser.logIn(user)
  await browser.post('/user/confirm-password', { password: PASSWORD })
  const owner = new TestBrowser(app)
  await owner.logIn(user)
  return { app, user, thief: browser.clone(), owner }
}

async function pressRevert(app: TestApp, { pathname, search }: URL) {
  const browser = new PanelBrowser(app)
  const page = await browser.open(pathname + search)
  return page.status === 200 ? browser.submit(page, '/admin/revert-email') : page
}

async function pending(t: Test, database: TestDatabase) {
  const EVICTIONS: [
    name: string,
    evict: (owner: TestBrowser, database: TestDatabase, id: number) => Promise<unknown>,
  ][] = [
    [
      'the password is changed',
      owner =>
        owner.send('PUT', '/user/password', {
          payload: { current_password: PASSWORD, password: NEW, password_confirmation: NEW },
        }),
    ],
    ['all others are logged out', owner => owner.send('DELETE', '/api/me/session')],
  ]
  for (const [name, evict] of EVICTIONS) {
    await t.test(`an address that waits waits no more once ${name}`, async t => {
      const { app, user, thief, owner } = await victim(t, database)
      await change(thief, someAddress())
      const link = linkIn(await app.mailbox.next())
      await evict(owner, database, user.id)
      await owner.post('/user/confirm-password', { password: PASSWORD })
      await owner.post('/user/confirm-password', { password: NEW })
      t.equal((await follow(owner, link)).status, 403)
      t.equal((await owner.post('/email/verification-notification')).status, 204)
      t.equal((await stored(database, user.id)).email, user.email)
    })
  }

  await t.test('an owner who is led to its link changes nothing without the password', async t => {
    const { app, user, thief, owner } = await victim(t, database)
    await change(thief, someAddress())
    const { pathname, search } = linkIn(await app.mailbox.next())
    const answer = await owner.bare('GET', pathname + search, {
      headers: { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', accept: 'text/html' },
    })
    t.equal(answer.status, 423)
    t.equal((await stored(database, user.id)).email, user.email)
  })
}

async function returning(t: Test, database: TestDatabase) {
  await t.test('loses the way back when the owner goes back by the form', async t => {
    const { app, user, thief, owner } = await victim(t, database)
    const thiefs = someAddress()
    await change(thief, thiefs)
    await follow(thief, linkIn(await app.mailbox.next()))
    await app.mailbox.next()
    await owner.post('/user/confirm-password', { password: PASSWORD })
    await change(owner, user.email)
    t.equal((await follow(owner, linkIn(await app.mailbox.next()))).status, 204)
    const notice = await app.mailbox.next()
    t.equal(notice.to.address, thiefs)
    t.notMatch(notice.text, /http/, 'its mailbox gets no link')
    t.equal((await stored(database, user.id)).email, user.email)
    const rows = database.kysely.selectFrom('email_reverts').select('id').where('user_id', '=', user.id)
    t.strictSame(await rows.execute(), [])
  })

  await t.test('has no second factor in the account after a revert, whenever it was asked', async t => {
    const { app, user, thief } = await victim(t, database)
    const wanted = someAddress()
    await change(thief, wanted)
    await app.mailbox.next()
    await database.kysely
      .updateTable('users')
      .set({ two_factor_secret: 'x', two_factor_confirmed_at: '2026-03-01 12:00:00' })
      .where('id', '=', user.id)
      .execute()
    app.clock.advance(MINUTE)
    await change(thief, wanted)
    await follow(thief, linkIn(await app.mailbox.next()))
    t.match(textOf(await pressRevert(app, linkIn(await app.mailbox.next()))), user.email)
    t.match(await stored(database, user.id), { email: user.email, two_factor_secret: null })
  })

  await t.test('does not end the account by deleting it', async t => {
    const { app, user, thief } = await victim(t, database)
    await change(thief, someAddress())
    await follow(thief, linkIn(await app.mailbox.next()))
    const link = linkIn(await app.mailbox.next())
    t.equal((await thief.send('DELETE', '/user')).status, 204)
    t.equal((await get(app, link.pathname + link.search)).status, 200)
    t.match(textOf(await pressRevert(app, link)), user.email)
    t.match(await stored(database, user.id), { email: user.email, deleted_at: null })
    const mail = await app.mailbox.next()
    t.equal(mail.to.address, user.email)
    const guest = new TestBrowser(app)
    await guest.get('/sanctum/csrf-cookie')
    const token = linkIn(mail).searchParams.get('token')
    const payload = { token, email: user.email, password: NEW, password_confirmation: NEW }
    t.equal((await guest.post('/reset-password', payload)).status, 200)
    t.equal((await new TestBrowser(app).logIn({ ...user, password: NEW })).status, 200)
  })

  await t.test('an account that was deleted before the change stays deleted', async t => {
    const { app, user, thief } = await victim(t, database)
    await change(thief, someAddress())
    await follow(thief, linkIn(await app.mailbox.next()))
    const link = linkIn(await app.mailbox.next())
    await database.kysely
      .updateTable('users')
      .set({ deleted_at: '2026-02-01 00:00:00' })
      .where('id', '=', user.id)
      .execute()
    t.equal((await pressRevert(app, link)).status, 404)
  })

  await t.test('another spelling of the same address needs no way back', async t => {
    const { app, user, thief } = await victim(t, database)
    await database.kysely
      .updateTable('users')
      .set({ email: `Upper-${user.email}` })
      .where('id', '=', user.id)
      .execute()
    await change(thief, `upper-${user.email}`)
    t.equal((await follow(thief, linkIn(await app.mailbox.next()))).status, 204)
    t.equal((await stored(database, user.id)).email, `upper-${user.email}`)
    t.equal(app.mailbox.mails.length, 1)
  })
}

async function resetting(t: Test, database: TestDatabase) {
  await t.test('takes no second factor away by a reset of an address that was changed', async t => {
    for (const [environment, options] of [
      [{ EMAIL_CHANGE: 'immediate' }, {}],
      [{}, { verified: false }],
    ] as const) {
      const { app, user, thief } = await victim(t, database, environment, options)
      await database.kysely
        .updateTable('users')
        .set({ two_factor_secret: 'x', two_factor_confirmed_at: '2026-02-01 12:00:00' })
        .where('id', '=', user.id)
        .execute()
      const email = someAddress()
      t.equal((await change(thief, email)).status, 200)
      await app.mailbox.next()
      await thief.post('/logout')
      await thief.post('/forgot-password', { email })
      let mail = await app.mailbox.next()
      while (!mail.text.includes('token=')) mail = await app.mailbox.next()
      const token = linkIn(mail).searchParams.get('token')
      const payload = { token, email, password: NEW, password_confirmation: NEW }
      t.equal((await thief.post('/reset-password', payload)).status, 200)
      t.strictSame((await thief.post('/login', { email, password: NEW })).json, { two_factor: true })
    }
  })
}
