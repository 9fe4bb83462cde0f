import t from 'tap'
import { prohibit } from '../../fixtures/bans.ts'
import { aPanelUser, formsOf, textOf } from '../../fixtures/panel.ts'
import { aRole, permissionsOfRole } from '../../fixtures/roles.ts'
import { startUnlimited } from '../../fixtures/server.ts'
import { aUser, PASSWORD, USER_TYPE } from '../../fixtures/users.ts'
import { get, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, PRODUCTION_ENGINE, type TestDatabase } from '../../support/databases.ts'

const STAFF_PERMISSIONS = [
  'view filament',
  'view user',
  'view role',
  'update user',
  'update role',
  'create sanction',
]

/** A user of the panel with a confirmed password, and the CSRF token of the session. */
async function panelUserWithToken(
  app: TestApp,
  database: TestDatabase,
  options: { roles?: string[]; permissions?: string[] },
) {
  const panelUser = await aPanelUser(app, database, { confirmed: true, ...options })
  return { ...panelUser, token: await panelUser.browser.csrfToken() }
}

/** Sends the form of a role as a user with its CSRF token, without loading the page first. */
const changeRole = async (
  app: TestApp,
  { browser, token }: Awaited<ReturnType<typeof panelUserWithToken>>,
  role: number,
  permissions: string[],
  confirmed = '1',
) =>
  browser.post(`/admin/roles/${role}`, {
    _token: token,
    version: await readPermissionVersion(app.database),
    current_password: PASSWORD,
    'permissions[]': permissions,
    confirmed,
  })

const readPermissionVersion = async ({ kysely }: Pick<TestDatabase, 'kysely'>) =>
  String((await kysely.selectFrom('permission_versions').select('version').executeTakeFirstOrThrow()).version)

for (const engine of ENGINES) {
  t.test(`editing a role on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database)

    await t.test('two administrators who edit a role concurrently do not overwrite each other', async t => {
      const { browser } = await aPanelUser(app, database, { roles: ['Admin'] })
      const { id } = await aRole(database, ['view playlist', 'view dump'])
      const user = await aUser(database)
      await database.kysely
        .insertInto('model_has_roles')
        .values({ role_id: id, model_type: USER_TYPE, model_id: user.id })
        .execute()
      const matrix = await browser.open('/admin/roles')
      t.match(textOf(matrix), /Permission Admin Encoder Developer/)
      const path = `/admin/roles/${id}`
      t.match(matrix.text, `href="${path}"`)
      const page = await browser.open(path)
      const ticked = [...page.text.matchAll(/value="([^"]+)" checked/g)].map(([, name]) => name ?? '')
      t.ok(ticked.includes('view playlist'))
      const fewer = ticked.filter(name => name !== 'view playlist')
      const fields = { 'permissions[]': [...fewer, 'view user'], current_password: PASSWORD }

      const other = await aPanelUser(app, database, { roles: ['Admin'] })
      const meanwhile = await other.browser.open(path)
      const done = await browser.submitConfirmed(page, path, fields)
      t.match(textOf(done), 'The permissions of the role were changed.')
      t.equal((await get(app, '/api/me/playlist', user.token)).status, 403)

      const late = await other.browser.submit(meanwhile, path, { ...fields, 'permissions[]': ticked })
      t.equal(late.status, 409, 'a form with an outdated version is refused')
      t.match(textOf(late), 'changed the roles in the meantime.')
      t.equal((await get(app, '/api/me/playlist', user.token)).status, 403)
      const again = await other.browser.submitConfirmed(late, path, { 'permissions[]': ticked })
      t.equal(again.status, 200)
      t.equal((await get(app, '/api/me/playlist', user.token)).status, 200)
    })
  })
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`rank of roles and users on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database)

    await t.test('a role that allows more than the actor may do is shown but cannot be changed', async t => {
      const { id: high } = await aRole(database, [...STAFF_PERMISSIONS, 'view dump'])
      const before = await permissionsOfRole(database, high)
      const lower = await panelUserWithToken(app, database, { permissions: STAFF_PERMISSIONS })
      const page = await lower.browser.open(`/admin/roles/${high}`)
      t.equal(page.status, 200)
      t.match(textOf(page), 'You cannot change this role, because it has permissions that you do not have.')
      t.match(textOf(page), 'view dump', 'its permissions are shown')
      t.notOk(formsOf(page).some(({ action }) => action === `/admin/roles/${high}`))
      // Even removing permissions that the actor has is refused.
      for (const left of [before.filter(name => name !== 'view role'), ['view dump'], []]) {
        t.equal((await changeRole(app, lower, high, left)).status, 403, `down to ${left}`)
        t.equal((await changeRole(app, lower, high, left, '')).status, 403, 'without confirmation')
      }
      t.strictSame(await permissionsOfRole(database, high), before)
    })

    await t.test('a role is changed only within the permissions of the actor', async t => {
      const { id: low } = await aRole(database, ['view role'])
      const lower = await panelUserWithToken(app, database, { permissions: STAFF_PERMISSIONS })
      t.equal((await changeRole(app, lower, low, ['view role', 'view dump'])).status, 403)
      t.strictSame(await permissionsOfRole(database, low), ['view role'])
      t.equal((await changeRole(app, lower, low, ['view role', 'view user'])).status, 303)
      t.strictSame(await permissionsOfRole(database, low), ['view role', 'view user'])
      t.equal((await changeRole(app, lower, low, [])).status, 303)
      t.strictSame(await permissionsOfRole(database, low), [])
    })

    await t.test('a prohibited permission of the actor does not count as held', async t => {
      const { id: role, name } = await aRole(database, ['view dump'])
      const holder = await aUser(database, { roles: [name] })
      const other = await aUser(database)
      const actor = await panelUserWithToken(app, database, {
        permissions: [...STAFF_PERMISSIONS, 'view dump'],
      })
      const path = `/admin/users/${holder.id}`
      const grantRole = () =>
        actor.browser.post(`/admin/users/${other.id}/roles`, {
          _token: actor.token,
          current_password: PASSWORD,
          'roles[]': [name],
          confirmed: '1',
        })
      const revokeSessions = () =>
        actor.browser.post(`${path}/revoke`, { _token: actor.token, confirmed: '1' })
      t.ok(formsOf(await actor.browser.open(path)).some(({ action }) => action === `${path}/revoke`))

      await prohibit(database, actor.user, 'view dump')
      t.equal((await grantRole()).status, 403, 'granting a role')
      t.equal((await changeRole(app, actor, role, [])).status, 403, 'changing a role')
      t.strictSame(await permissionsOfRole(database, role), ['view dump'])
      t.equal((await revokeSessions()).status, 403, 'a user with the permission ranks higher')
      t.notOk(formsOf(await actor.browser.open(path)).some(({ action }) => action === `${path}/revoke`))

      await database.kysely.deleteFrom('model_prohibitions').where('model_id', '=', actor.user.id).execute()
      t.equal((await grantRole()).status, 303, 'after the prohibition is lifted')
      t.equal((await revokeSessions()).status, 303)
      t.equal((await changeRole(app, actor, role, [])).status, 303)
    })

    await t.test('an actor who is prohibited a permission cannot take a role that grants it', async t => {
      const { name } = await aRole(database, ['view feature'])
      const holder = await aUser(database, { roles: [name] })
      const actor = await panelUserWithToken(app, database, {
        permissions: [...STAFF_PERMISSIONS, 'view feature'],
      })
      await prohibit(database, actor.user, 'view feature')
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

    await t.test('bypass authorization overrides rank and prohibitions', async t => {
      const { id: role } = await aRole(database, ['view pulse'])
      const actor = await panelUserWithToken(app, database, { permissions: ['bypass authorization'] })
      await prohibit(database, actor.user, 'view pulse')
      t.equal((await changeRole(app, actor, role, ['view dump'])).status, 303)
      t.strictSame(await permissionsOfRole(database, role), ['view dump'])
      const other = await aUser(database, { permissions: ['bypass authorization'] })
      const path = `/admin/users/${other.id}`
      t.equal((await actor.browser.post(`${path}/verify`, { _token: actor.token })).status, 303)
      const below = await panelUserWithToken(app, database, { roles: ['Admin'] })
      t.equal(
        (await below.browser.post(`${path}/revoke`, { _token: below.token, confirmed: '1' })).status,
        403,
      )
    })

    await t.test('a form is refused with 409 if the role was changed since the page was loaded', async t => {
      const { id: role } = await aRole(database, ['view role'])
      const actor = await panelUserWithToken(app, database, { permissions: STAFF_PERMISSIONS })
      const page = await actor.browser.open(`/admin/roles/${role}`)
      await database.kysely
        .updateTable('roles')
        .set({ updated_at: '2026-03-01' })
        .where('id', '=', role)
        .execute()
      const fields = { current_password: PASSWORD, 'permissions[]': ['view user'], confirmed: '1' }
      t.equal((await actor.browser.sendForm(page, `/admin/roles/${role}`, fields)).status, 409)
      t.strictSame(await permissionsOfRole(database, role), ['view role'])
    })
  })
}
