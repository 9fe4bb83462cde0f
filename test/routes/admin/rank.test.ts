import t, { type Test } from 'tap'
import { formsOf, PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { aMember, aUser, PASSWORD, USER_TYPE } from '../../fixtures/users.ts'
import { startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../support/databases.ts'

const PANEL = ['view filament', 'view user', 'view role', 'update user', 'update role', 'create sanction']

const start = (t: Test, database: TestDatabase) =>
  startApp(t, {
    database,
    environment: {
      LOGIN_RATE_LIMIT: '1000',
      CONFIRM_PASSWORD_RATE_LIMIT: '1000',
      RATE_LIMIT_ANONYMOUS: '10000',
      RATE_LIMIT_AUTHENTICATED: '10000',
    },
  })

async function loggedIn(
  app: TestApp,
  database: TestDatabase,
  options: { roles?: string[]; permissions?: string[] },
) {
  const user = await aMember(database, options)
  const browser = new PanelBrowser(app)
  await browser.logIn(user)
  await browser.send('POST', '/user/confirm-password', { payload: { password: PASSWORD } })
  const [form] = formsOf(await browser.open('/admin'))
  return { user, browser, token: form?.hidden._token ?? '' }
}

/** A role of its own, which allows what is named. */
async function addRole({ kysely }: TestDatabase, name: string, permissions: string[]): Promise<number> {
  const { id } = await kysely
    .insertInto('roles')
    .values({ name, guard_name: 'web', priority: 1, default: false })
    .returning('id')
    .executeTakeFirstOrThrow()
  await kysely
    .insertInto('role_has_permissions')
    .columns(['role_id', 'permission_id'])
    .expression(expression =>
      expression
        .selectFrom('permissions')
        .select(({ val, ref }) => [val(id).as('role_id'), ref('id').as('permission_id')])
        .where('name', 'in', permissions),
    )
    .execute()
  return id
}

const allowedBy = async ({ kysely }: TestDatabase, roleId: number) =>
  (
    await kysely
      .selectFrom('role_has_permissions')
      .innerJoin('permissions', 'permissions.id', 'permission_id')
      .select('name')
      .where('role_id', '=', roleId)
      .orderBy('name')
      .execute()
  ).map(({ name }) => name)

async function prohibit({ kysely }: TestDatabase, userId: number, name: string) {
  const { id } = await kysely
    .selectFrom('prohibitions')
    .select('id')
    .where('name', '=', name)
    .executeTakeFirstOrThrow()
  await kysely
    .insertInto('model_prohibitions')
    .values({ prohibition_id: id, model_type: USER_TYPE, model_id: userId, created_at: '2026-03-01' })
    .execute()
}

const versionOf = async ({ kysely }: TestDatabase) =>
  String((await kysely.selectFrom('permission_versions').select('version').executeTakeFirstOrThrow()).version)

for (const engine of PRODUCTION_ENGINE) {
  t.test(`rank in the panel on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await start(t, database)

    /** Sends a role's form, as a user with its token can without seeing the form. */
    const change = async (
      { browser, token }: Awaited<ReturnType<typeof loggedIn>>,
      role: number,
      permissions: string[],
      confirmed = '1',
    ) =>
      browser.post(`/admin/roles/${role}`, {
        _token: token,
        version: await versionOf(database),
        current_password: PASSWORD,
        'permissions[]': permissions,
        confirmed,
      })

    await t.test('a role that allows more than its viewer may do is for others to change', async t => {
      const high = await addRole(database, 'High', [...PANEL, 'view dump'])
      const before = await allowedBy(database, high)
      const lower = await loggedIn(app, database, { permissions: PANEL })
      const page = await lower.browser.open(`/admin/roles/${high}`)
      t.equal(page.status, 200)
      t.match(textOf(page), 'You may not change this role, since it allows more than you may do yourself.')
      t.match(textOf(page), 'view dump', 'it can be looked at')
      t.notOk(formsOf(page).some(({ action }) => action === `/admin/roles/${high}`))
      // All that is taken here is the lower one's own.
      for (const left of [before.filter(name => name !== 'view role'), ['view dump'], []]) {
        t.equal((await change(lower, high, left)).status, 403, `down to ${left}`)
        t.equal((await change(lower, high, left, '')).status, 403, 'nor is it asked about')
      }
      t.strictSame(await allowedBy(database, high), before)
    })

    await t.test('a role that allows no more is changed, and to no more than that', async t => {
      const low = await addRole(database, 'Low', ['view role'])
      const lower = await loggedIn(app, database, { permissions: PANEL })
      t.equal((await change(lower, low, ['view role', 'view dump'])).status, 403)
      t.strictSame(await allowedBy(database, low), ['view role'])
      t.equal((await change(lower, low, ['view role', 'view user'])).status, 303)
      t.strictSame(await allowedBy(database, low), ['view role', 'view user'])
      t.equal((await change(lower, low, [])).status, 303)
      t.strictSame(await allowedBy(database, low), [])
    })

    await t.test('what a user is banned from does not count as held', async t => {
      const role = await addRole(database, 'Dumps', ['view dump'])
      const holder = await aUser(database, { roles: ['Dumps'] })
      const mate = await aUser(database)
      const actor = await loggedIn(app, database, { permissions: [...PANEL, 'view dump'] })
      const path = `/admin/users/${holder.id}`
      const give = () =>
        actor.browser.post(`/admin/users/${mate.id}/roles`, {
          _token: actor.token,
          current_password: PASSWORD,
          'roles[]': ['Dumps'],
          confirmed: '1',
        })
      const cutOff = () => actor.browser.post(`${path}/revoke`, { _token: actor.token, confirmed: '1' })
      t.ok(formsOf(await actor.browser.open(path)).some(({ action }) => action === `${path}/revoke`))

      await prohibit(database, actor.user.id, 'view dump')
      t.equal((await give()).status, 403, 'a role is not given')
      t.equal((await change(actor, role, [])).status, 403, 'nor changed')
      t.strictSame(await allowedBy(database, role), ['view dump'])
      t.equal((await cutOff()).status, 403, 'and who has the permission ranks higher')
      t.notOk(formsOf(await actor.browser.open(path)).some(({ action }) => action === `${path}/revoke`))

      await database.kysely.deleteFrom('model_prohibitions').where('model_id', '=', actor.user.id).execute()
      t.equal((await give()).status, 303, 'until the ban is lifted')
      t.equal((await cutOff()).status, 303)
      t.equal((await change(actor, role, [])).status, 303)
    })

    await t.test('a role is not taken either by who is banned from what it allows', async t => {
      await addRole(database, 'Features', ['view feature'])
      const holder = await aUser(database, { roles: ['Features'] })
      const actor = await loggedIn(app, database, { permissions: [...PANEL, 'view feature'] })
      await prohibit(database, actor.user.id, 'view feature')
      const answer = await actor.browser.post(`/admin/users/${holder.id}/roles`, {
        _token: actor.token,
        current_password: PASSWORD,
        confirmed: '1',
      })
      t.equal(answer.status, 403)
      const held = await database.kysely
        .selectFrom('model_has_roles')
        .select('role_id')
        .where('model_id', '=', holder.id)
        .execute()
      t.equal(held.length, 1)
    })

    await t.test('"bypass authorization" is above all of it', async t => {
      const role = await addRole(database, 'Pulse', ['view pulse'])
      const actor = await loggedIn(app, database, { permissions: ['bypass authorization'] })
      await prohibit(database, actor.user.id, 'view pulse')
      t.equal((await change(actor, role, ['view dump'])).status, 303)
      t.strictSame(await allowedBy(database, role), ['view dump'])
      const other = await aUser(database, { permissions: ['bypass authorization'] })
      const path = `/admin/users/${other.id}`
      t.equal((await actor.browser.post(`${path}/verify`, { _token: actor.token })).status, 303)
      const below = await loggedIn(app, database, { roles: ['Admin'] })
      t.equal(
        (await below.browser.post(`${path}/revoke`, { _token: below.token, confirmed: '1' })).status,
        403,
      )
    })

    await t.test('what others changed meanwhile is not overwritten', async t => {
      const role = await addRole(database, 'Late', ['view role'])
      const actor = await loggedIn(app, database, { permissions: PANEL })
      const page = await actor.browser.open(`/admin/roles/${role}`)
      await database.kysely
        .updateTable('roles')
        .set({ updated_at: '2026-03-01' })
        .where('id', '=', role)
        .execute()
      const fields = { current_password: PASSWORD, 'permissions[]': ['view user'], confirmed: '1' }
      t.equal((await actor.browser.sendForm(page, `/admin/roles/${role}`, fields)).status, 409)
      t.strictSame(await allowedBy(database, role), ['view role'])
    })
  })
}
