import t, { type Test } from 'tap'
import { DAY, MINUTE } from '../../fixtures/clock.ts'
import { aPanelUser, formsOf, textOf } from '../../fixtures/panel.ts'
import { startUnlimited } from '../../fixtures/server.ts'
import { aUser, PASSWORD } from '../../fixtures/users.ts'
import { get } from '../../support/app.ts'
import {
  beforeStatement,
  createDatabase,
  PRODUCTION_ENGINE,
  type TestDatabase,
} from '../../support/databases.ts'

const SENT_BEFORE = /This form was already submitted\. Its action was not repeated\./

for (const engine of PRODUCTION_ENGINE) {
  t.test(`a form that is submitted twice, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await testResubmission(t, database)
    await testFailures(t, database)
    await testDistinctForms(t, database)
  })
}

const MESSAGE = { type: 'App\\Notifications\\X', data: '{"title":"Hello"}' }

/** Starts a server with an administrator on the page of another user; each accepted notification form adds a row. */
async function startWithNotificationForm(t: Test, database: TestDatabase, environment = {}) {
  const app = await startUnlimited(t, database, environment)
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

async function testResubmission(t: Test, database: TestDatabase) {
  await t.test('the second submission changes nothing and redirects to the page of the first', async t => {
    const { browser, path, notify, count } = await startWithNotificationForm(t, database)
    t.equal((await notify()).headers.location, `${path}?done=user-notified`)
    const second = await notify()
    t.equal(second.status, 303)
    t.equal(second.headers.location, `${path}?done=sent-before`)
    t.match(textOf(await browser.open(`${path}?done=sent-before`)), SENT_BEFORE)
    t.equal(await count(), 1)
  })

  await t.test('the second submission is recognized by another instance', async t => {
    const { browser, notify, count } = await startWithNotificationForm(t, database)
    const another = await startUnlimited(t, database)
    t.equal((await notify()).status, 303)
    t.match((await notify({}, browser.clone(another))).headers.location, /done=sent-before/)
    t.equal(await count(), 1)
  })

  await t.test('a resubmitted token form issues one token and does not show the secret again', async t => {
    const app = await startUnlimited(t, database)
    const { browser, user } = await aPanelUser(app, database, { confirmed: true })
    const page = await browser.open('/admin')
    const fields = { name: 'twice', scope: 'read' }
    const first = await browser.submit(page, '/admin/tokens', fields)
    t.equal(first.status, 201)
    const second = await browser.submit(page, '/admin/tokens', fields)
    t.match(textOf(second), /its token was created once.*replace or revoke the token/)
    t.match(second.text, /action="\/admin\/tokens\/\d+\/rotate"/, 'the page offers to rotate the token')
    t.notMatch(second.text, /id="secret"/)
    const tokens = (await get(app, '/api/me/token', user.token)).json.tokens
    t.equal(tokens.filter(({ name }: { name: string }) => name === 'twice').length, 1)
  })

  await t.test('a resubmitted confirmation is not 404 though the token is gone', async t => {
    const app = await startUnlimited(t, database)
    const { browser, user } = await aPanelUser(app, database)
    const action = `/admin/tokens/${user.tokenId}/revoke`
    const question = await browser.submit(await browser.open('/admin'), action)
    t.equal((await browser.sendForm(question, action)).headers.location, '/admin?done=token-revoked')
    const second = await browser.sendForm(question, action)
    t.equal(second.headers.location, '/admin?done=sent-before', 'the second confirmation')
  })

  await t.test('ten concurrent submissions to two instances are done once', async t => {
    const { browser, path, notify, count } = await startWithNotificationForm(t, database)
    const another = browser.clone(await startUnlimited(t, database))
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) => notify({}, index % 2 === 0 ? browser : another)),
    )
    t.equal(await count(), 1)
    const locations = answers.map(({ headers }) => headers.location).sort()
    t.strictSame(locations, [...Array(9).fill(`${path}?done=sent-before`), `${path}?done=user-notified`])
  })

  await t.test(
    'concurrent submissions with a password, which change the session id, are done once',
    async t => {
      const app = await startUnlimited(t, database)
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
      t.ok(status === 419 || status === 303, 'a later submission')
      const tokens = (await get(app, '/api/me/token', user.token)).json.tokens
      t.equal(tokens.filter(({ name }: { name: string }) => name === 'twice').length, 1)
    },
  )
}

async function testFailures(t: Test, database: TestDatabase) {
  await t.test('a submission waits for a concurrent one and is executed if that one fails', async t => {
    const { notify, count } = await startWithNotificationForm(t, database)
    const later: ReturnType<typeof notify>[] = []
    const came = beforeStatement(t, database, /insert into "?notifications/, async () => {
      later.push(notify())
      throw new Error('the insert failed')
    })
    t.equal((await notify()).status, 500)
    t.equal(came(), true)
    t.match((await later[0])?.headers.location, /done=user-notified/)
    t.equal(await count(), 1)
  })

  await t.test('a form can be submitted again after an error or a refusal', async t => {
    const { notify, count } = await startWithNotificationForm(t, database)
    const rename = (from: string, to: string) =>
      database.kysely.schema.alterTable(from).renameTo(to).execute()
    await rename('notifications', 'away')
    t.ok((await notify()).status >= 500)
    await rename('away', 'notifications')
    t.match((await notify()).headers.location, /done=user-notified/)
    t.equal(await count(), 1)

    const app = await startUnlimited(t, database, { TOKENS_PER_USER: '1' })
    const { browser, user } = await aPanelUser(app, database, { confirmed: true })
    const page = await browser.open('/admin')
    const fields = { name: 'x', scope: 'read' }
    t.equal((await browser.sendForm(page, '/admin/tokens', fields)).status, 403)
    await database.kysely.deleteFrom('personal_access_tokens').where('id', '=', user.tokenId).execute()
    t.equal((await browser.sendForm(page, '/admin/tokens', fields)).status, 201)
  })

  await t.test('a form that asks a question can be submitted again', async t => {
    const app = await startUnlimited(t, database)
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
      'nothing is stored for a question',
    )
  })

  await t.test('a submission is 409 while the outcome of the first one is unknown', async t => {
    const { app, path, notify, count } = await startWithNotificationForm(t, database)
    await notify()
    // As if the instance had crashed before the outcome was stored.
    await database.kysely
      .updateTable('form_submissions')
      .set({ leads_to: null })
      .where('leads_to', 'like', `${path}%`)
      .execute()
    app.clock.advance(2 * MINUTE)
    const second = await notify()
    t.equal(second.status, 409)
    t.match(textOf(second), 'its result is not known yet')
    t.equal(await count(), 1)
  })
}

async function testDistinctForms(t: Test, database: TestDatabase) {
  await t.test('a form with other fields is another form', async t => {
    const { notify, count } = await startWithNotificationForm(t, database)
    await notify()
    t.match((await notify({ data: '{"title":"Bye"}' })).headers.location, /done=user-notified/)
    t.match((await notify({ data: '{"title":"B\u0179e"}' })).headers.location, /done=user-notified/)
    t.match((await notify({ data: '{"title":"B\u0279e"}' })).headers.location, /done=user-notified/)
    t.equal(await count(), 4)
  })

  await t.test('a reloaded page and another user have other forms', async t => {
    const { app, browser, path, page, notify, count } = await startWithNotificationForm(t, database)
    await notify()
    const reloaded = await browser.open(path)
    const onceOf = (form: typeof page) => formsOf(form)[0]?.hidden._once ?? ''
    t.not(onceOf(page), onceOf(reloaded))
    t.match(onceOf(page), /^[\w-]{24}$/)
    t.equal((await browser.sendForm(reloaded, `${path}/notify`, MESSAGE)).status, 303)
    t.equal(await count(), 2)

    const colleague = await aPanelUser(app, database, { roles: ['Admin'] })
    const colleaguePage = await colleague.browser.open(path)
    const fields = { ...MESSAGE, _once: onceOf(page) }
    await colleague.browser.sendForm(colleaguePage, `${path}/notify`, fields)
    t.equal(await count(), 3, 'the form of another user with the same _once')
  })

  await t.test('a form without _once is executed each time', async t => {
    const { notify, count } = await startWithNotificationForm(t, database)
    await notify({ _once: '' })
    await notify({ _once: '' })
    t.equal(await count(), 2)
  })

  await t.test('forms for guests have no _once field', async t => {
    const { app } = await startWithNotificationForm(t, database)
    t.notMatch((await get(app, '/admin/login')).text, '_once')
  })

  await t.test('submissions are stored by digest and pruned after a day', async t => {
    const { app, notify, path } = await startWithNotificationForm(t, database)
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
    await app.lastUse.prune()
    t.equal((await rows()).length, 1)
    app.clock.advance(2 * MINUTE)
    await app.lastUse.prune()
    t.equal((await rows()).length, 0)
  })
}
