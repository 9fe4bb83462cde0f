import t, { type Test } from 'tap'
import { DAY, MINUTE } from '../../fixtures/clock.ts'
import { aPanelUser, formsOf, textOf } from '../../fixtures/panel.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aUser, PASSWORD } from '../../fixtures/users.ts'
import { get, startApp } from '../../support/app.ts'
import {
  beforeStatement,
  createDatabase,
  PRODUCTION_ENGINE,
  type TestDatabase,
} from '../../support/databases.ts'

const SENT_BEFORE = /This form was sent before\. What it asked for was done then, and not once more now\./

for (const engine of PRODUCTION_ENGINE) {
  t.test(`a form that is sent twice, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await twice(t, database)
    await atOnce(t, database)
    await withPassword(t, database)
    // The embedded database has one connection: nothing comes between its statements.
    if (engine === 'postgres') await waiting(t, database)
    await failures(t, database)
    await others(t, database)
    await storage(t, database)
  })
}

const start = (t: Test, database: TestDatabase, environment = {}) =>
  startApp(t, { database, environment: { ...UNLIMITED, ...environment } })

const MESSAGE = { type: 'App\\Notifications\\X', data: '{"title":"Hello"}' }

/** The form of a notification, on the page of a user; each that counts adds a row. */
async function notifying(t: Test, database: TestDatabase, environment = {}) {
  const app = await start(t, database, environment)
  const { browser, user: admin } = await aPanelUser(app, database, { roles: ['Admin'] })
  const other = await aUser(database)
  const path = `/admin/users/${other.id}`
  const page = await browser.open(path)
  const notify = (fields = {}, by = browser) => by.sendForm(page, `${path}/notify`, { ...MESSAGE, ...fields })
  const count = async () =>
    (
      await database.kysely
        .selectFrom('notifications')
        .select('id')
        .where('notifiable_id', '=', other.id)
        .execute()
    ).length
  return { app, browser, admin, other, path, page, notify, count }
}

async function twice(t: Test, database: TestDatabase) {
  await t.test('does once what it does, and leads where it led', async t => {
    const { browser, path, notify, count } = await notifying(t, database)
    t.equal((await notify()).headers.location, `${path}?done=user-notified`)
    const second = await notify()
    t.equal(second.status, 303)
    t.equal(second.headers.location, `${path}?done=sent-before`)
    t.match(textOf(await browser.open(`${path}?done=sent-before`)), SENT_BEFORE)
    t.equal(await count(), 1)
  })

  await t.test('does so on any instance', async t => {
    const { browser, notify, count } = await notifying(t, database)
    const another = await start(t, database)
    t.equal((await notify()).status, 303)
    t.match((await notify({}, browser.clone(another))).headers.location, /done=sent-before/)
    t.equal(await count(), 1)
  })

  await t.test('issues one token, and says what to do without its secret', async t => {
    const app = await start(t, database)
    const { browser, user } = await aPanelUser(app, database, { confirmed: true })
    const page = await browser.open('/admin')
    const fields = { name: 'twice', scope: 'read' }
    const first = await browser.submit(page, '/admin/tokens', fields)
    t.equal(first.status, 201)
    const second = await browser.submit(page, '/admin/tokens', fields)
    t.match(textOf(second), /the token was issued then, once.*replace the token or revoke it/)
    t.match(second.text, /action="\/admin\/tokens\/\d+\/rotate"/, 'on the page where that is done')
    t.notMatch(second.text, /id="secret"/)
    const tokens = (await get(app, '/api/me/token', user.token)).json.tokens
    t.equal(tokens.filter(({ name }: { name: string }) => name === 'twice').length, 1)
  })

  await t.test('confirms once', async t => {
    const app = await start(t, database)
    const { browser, user } = await aPanelUser(app, database)
    const action = `/admin/tokens/${user.tokenId}/revoke`
    const question = await browser.submit(await browser.open('/admin'), action)
    t.equal((await browser.sendForm(question, action)).headers.location, '/admin?done=token-revoked')
    const second = await browser.sendForm(question, action)
    t.equal(second.headers.location, '/admin?done=sent-before', 'though the token is no longer there')
  })
}

async function atOnce(t: Test, database: TestDatabase) {
  await t.test('at once, by two instances, is done once, and answered alike', async t => {
    const { browser, path, notify, count } = await notifying(t, database)
    const another = browser.clone(await start(t, database))
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) => notify({}, index % 2 === 0 ? browser : another)),
    )
    t.equal(await count(), 1)
    const locations = answers.map(({ headers }) => headers.location).sort()
    t.strictSame(locations, [...Array(9).fill(`${path}?done=sent-before`), `${path}?done=user-notified`])
  })
}

async function withPassword(t: Test, database: TestDatabase) {
  await t.test('with a password, which gives the session another id, is done once as well', async t => {
    const app = await start(t, database)
    const { browser, user } = await aPanelUser(app, database)
    const page = await browser.open('/admin')
    const fields = { name: 'twice', scope: 'read', current_password: PASSWORD }
    const clicks = [browser, browser.clone(), browser.clone()]
    const answers = await Promise.all(clicks.map(click => click.sendForm(page, '/admin/tokens', fields)))
    t.strictSame(answers.map(({ status }) => status).sort(), [201, 303, 303])
    for (const { status, headers } of answers) {
      if (status === 303) t.match(headers.location, /^\/admin\/tokens\/\d+\?done=issued-before$/)
    }
    const { status } = await browser.clone().sendForm(page, '/admin/tokens', fields)
    t.ok(status === 419 || status === 303, 'nor does one that comes later')
    const tokens = (await get(app, '/api/me/token', user.token)).json.tokens
    t.equal(tokens.filter(({ name }: { name: string }) => name === 'twice').length, 1)
  })
}

async function waiting(t: Test, database: TestDatabase) {
  await t.test('waits for the first one, and does it if that one fails', async t => {
    const { notify, count } = await notifying(t, database)
    const later: ReturnType<typeof notify>[] = []
    const came = beforeStatement(t, database, /insert into "?notifications/, async () => {
      later.push(notify())
      throw new Error('the database is not well')
    })
    t.equal((await notify()).status, 500)
    t.equal(came(), true)
    t.match((await later[0])?.headers.location, /done=user-notified/)
    t.equal(await count(), 1)
  })
}

async function failures(t: Test, database: TestDatabase) {
  await t.test('counts again when it was refused, or something went wrong', async t => {
    const { notify, count } = await notifying(t, database)
    const rename = (from: string, to: string) =>
      database.kysely.schema.alterTable(from).renameTo(to).execute()
    await rename('notifications', 'away')
    t.ok((await notify()).status >= 500)
    await rename('away', 'notifications')
    t.match((await notify()).headers.location, /done=user-notified/)
    t.equal(await count(), 1)

    const app = await start(t, database, { TOKENS_PER_USER: '1' })
    const { browser, user } = await aPanelUser(app, database, { confirmed: true })
    const page = await browser.open('/admin')
    const fields = { name: 'x', scope: 'read' }
    t.equal((await browser.sendForm(page, '/admin/tokens', fields)).status, 403)
    await database.kysely.deleteFrom('personal_access_tokens').where('id', '=', user.tokenId).execute()
    t.equal((await browser.sendForm(page, '/admin/tokens', fields)).status, 201)
  })

  await t.test('asks again what it asked', async t => {
    const app = await start(t, database)
    const { browser, user } = await aPanelUser(app, database)
    const page = await browser.open('/admin')
    const before = database.statements.length
    for (let n = 0; n < 2; n++) {
      const question = await browser.sendForm(page, `/admin/tokens/${user.tokenId}/revoke`)
      t.equal(question.status, 200)
      t.match(question.text, 'name="confirmed"')
    }
    t.notOk(
      database.statements.slice(before).some(text => text.includes('form_submissions')),
      'and writes nothing down for it',
    )
  })

  await t.test('does nothing while it is not known what became of it', async t => {
    const { app, path, notify, count } = await notifying(t, database)
    await notify()
    // As if the instance had been stopped in the middle of it.
    await database.kysely
      .updateTable('form_submissions')
      .set({ leads_to: null })
      .where('leads_to', 'like', `${path}%`)
      .execute()
    app.clock.advance(2 * MINUTE)
    const second = await notify()
    t.equal(second.status, 409)
    t.match(textOf(second), 'it is not known yet what became of it')
    t.equal(await count(), 1)
  })
}

async function others(t: Test, database: TestDatabase) {
  await t.test('is another form with other entries', async t => {
    const { notify, count } = await notifying(t, database)
    await notify()
    t.match((await notify({ data: '{"title":"Bye"}' })).headers.location, /done=user-notified/)
    t.match((await notify({ data: '{"title":"B\u0179e"}' })).headers.location, /done=user-notified/)
    t.match((await notify({ data: '{"title":"B\u0279e"}' })).headers.location, /done=user-notified/)
    t.equal(await count(), 4)
  })

  await t.test('is another form on a page that was loaded anew, and for another user', async t => {
    const { app, browser, path, page, notify, count } = await notifying(t, database)
    await notify()
    const again = await browser.open(path)
    const onceOf = (one: typeof page) => formsOf(one)[0]?.hidden._once ?? ''
    t.not(onceOf(page), onceOf(again))
    t.match(onceOf(page), /^[\w-]{24}$/)
    t.equal((await browser.sendForm(again, `${path}/notify`, MESSAGE)).status, 303)
    t.equal(await count(), 2)

    const colleague = await aPanelUser(app, database, { roles: ['Admin'] })
    const theirs = await colleague.browser.open(path)
    const fields = { ...MESSAGE, _once: onceOf(page) }
    await colleague.browser.sendForm(theirs, `${path}/notify`, fields)
    t.equal(await count(), 3, 'although theirs names the same page')
  })

  await t.test('is done as often as it is sent by a program that does not name a page', async t => {
    const { notify, count } = await notifying(t, database)
    await notify({ _once: '' })
    await notify({ _once: '' })
    t.equal(await count(), 2)
  })

  await t.test('has no such name before anybody has logged in', async t => {
    const { app } = await notifying(t, database)
    t.notMatch((await get(app, '/admin/login')).text, '_once')
  })
}

async function storage(t: Test, database: TestDatabase) {
  await t.test('is remembered by its digest, for a day', async t => {
    const { app, notify, path } = await notifying(t, database)
    await notify()
    const rows = () =>
      database.kysely
        .selectFrom('form_submissions')
        .selectAll()
        .where('leads_to', 'like', `${path}%`)
        .execute()
    const [row, ...more] = await rows()
    t.strictSame(more, [])
    t.match(row, { id: /^[0-9a-f]{64}$/, created_at: '2026-03-01 12:00:00' })
    app.clock.advance(DAY - MINUTE)
    await app.activity.prune()
    t.equal((await rows()).length, 1)
    app.clock.advance(2 * MINUTE)
    await app.activity.prune()
    t.equal((await rows()).length, 0)
  })
}
