import t from 'tap'
import { aPanelUser, textOf } from '../../fixtures/panel.ts'
import { startUnlimited } from '../../fixtures/server.ts'
import { aUser, PASSWORD, USER_TYPE } from '../../fixtures/users.ts'
import { get, type TestApp } from '../../support/app.ts'
import { createDatabase, type TestDatabase } from '../../support/databases.ts'

const VIEW_PERMISSIONS = ['view filament', 'view user', 'view role']

/** Sends a form as a new user with these permissions, first without and then with the confirmation; returns the last answer. */
const sendFormAs = async (
  app: TestApp,
  database: TestDatabase,
  permissions: string[],
  action: string,
  fields: Record<string, string | string[]>,
) => {
  const { browser } = await aPanelUser(app, database, { permissions })
  const post = async (more = {}) => {
    const all = { _token: await browser.csrfToken(), current_password: PASSWORD, ...fields, ...more }
    return browser.post(action, all)
  }
  const question = await post()
  const answer = await post({ confirmed: '1' })
  if (question.status < 400) throw new Error(`${action} without confirmation: ${question.status}`)
  return answer
}

t.test('permissions for forms of the panel', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const app = await startUnlimited(t, database)

  await t.test('each form requires its own permission and the one to enter the panel', async t => {
    const other = await aUser(database)
    const path = `/admin/users/${other.id}`
    const before = await database.kysely.selectFrom('model_has_roles').selectAll().execute()
    for (const [permission, action, fields] of [
      ['update user', `${path}/verify`, {}],
      ['update user', `${path}/roles`, { 'roles[]': ['Verified'] }],
      ['update user', `${path}/revoke`, {}],
      ['update user', `${path}/notify`, { type: 'x', data: '{}' }],
      ['create sanction', `${path}/ban`, { ban: 'everything' }],
      ['delete sanction', `${path}/lift`, { ban: 'sanction:1' }],
      ['update role', '/admin/roles/1', { version: '1' }],
    ] as [string, string, Record<string, string | string[]>][]) {
      t.equal(
        (await sendFormAs(app, database, VIEW_PERMISSIONS, action, fields)).status,
        403,
        `${action} without ${permission}`,
      )
      t.equal(
        (await sendFormAs(app, database, [permission], action, fields)).status,
        403,
        `${action} without the permission for the panel`,
      )
      const status = (
        await sendFormAs(app, database, [...VIEW_PERMISSIONS, permission], action, { ...fields, _token: '' })
      ).status
      t.equal(status, 419, `${action} with both reaches the CSRF check`)
    }
    for (const path of ['/admin/users', '/admin/roles']) {
      const { browser } = await aPanelUser(app, database, { permissions: ['view user', 'view role'] })
      t.equal((await browser.bare('GET', path)).status, 403, path)
    }
    t.strictSame(await database.kysely.selectFrom('model_has_roles').selectAll().execute(), before)
    t.equal((await get(app, '/api/me', other.token)).status, 200)
  })

  await t.test('a refused form shows no data of a user whom the sender may not view', async t => {
    const other = await aUser(database)
    const permissions = ['view filament', 'update user', 'create sanction', 'update role']
    for (const [action, fields] of [
      [`/admin/users/${other.id}/notify`, { type: '', data: '' }],
      [`/admin/users/${other.id}/ban`, { ban: '' }],
      [`/admin/users/${other.id}/roles`, { current_password: 'wrong' }],
      ['/admin/roles/1', { version: 'x' }],
    ] as [string, Record<string, string>][]) {
      const answer = await sendFormAs(app, database, permissions, action, fields)
      t.equal(answer.status, 403, action)
      t.notMatch(answer.text, other.email)
    }
  })

  await t.test('a role that allows more than the actor may do cannot be granted', async t => {
    const other = await aUser(database)
    const roles = `/admin/users/${other.id}/roles`
    const permissions = [...VIEW_PERMISSIONS, 'update user']
    t.equal((await sendFormAs(app, database, permissions, roles, { 'roles[]': ['Admin'] })).status, 403)
    t.equal((await sendFormAs(app, database, permissions, roles, { 'roles[]': ['Verified'] })).status, 403)
    t.equal((await get(app, '/api/me?include=roles', other.token)).json.user.roles.length, 0)
  })

  await t.test('a user with more permissions than the actor cannot be changed', async t => {
    const admin = await aUser(database, { roles: ['Admin'] })
    const permissions = [...VIEW_PERMISSIONS, 'update user', 'create sanction', 'delete sanction']
    const actions = {
      verify: {},
      revoke: {},
      ban: { ban: 'everything', permanent: '1' },
      lift: { ban: 'sanction:1' },
    }
    for (const [action, fields] of Object.entries(actions)) {
      const answer = await sendFormAs(
        app,
        database,
        permissions,
        `/admin/users/${admin.id}/${action}`,
        fields,
      )
      t.equal(answer.status, 403, action)
      t.match(textOf(answer), 'permissions that you do not have')
    }
    t.equal((await get(app, '/api/me', admin.token)).status, 200)
  })

  await t.test('administrators cannot apply the forms to themselves', async t => {
    const self = await aPanelUser(app, database, { roles: ['Admin'] })
    for (const action of ['verify', 'roles', 'revoke', 'ban', 'notify']) {
      const fields = { current_password: PASSWORD, ban: 'everything', type: 'x', data: '{}' }
      for (const confirmed of ['', '1']) {
        const all = { ...fields, _token: await self.browser.csrfToken(), permanent: '1', confirmed }
        const answer = await self.browser.post(`/admin/users/${self.user.id}/${action}`, all)
        t.equal(answer.status, 403, action)
      }
    }
  })

  await t.test('an administrator cannot add a permission to a role that the administrator lacks', async t => {
    const { browser } = await aPanelUser(app, database, { roles: ['Admin'] })
    const matrix = await browser.open('/admin/roles')
    const path = /href="(\/admin\/roles\/\d+)">Admin</.exec(matrix.text)?.[1] ?? ''
    const page = await browser.open(path)
    const ticked = [...page.text.matchAll(/value="([^"]+)" checked/g)].map(([, name]) => name ?? '')
    const wider = [...ticked, 'bypass authorization']
    const fields = { 'permissions[]': wider, current_password: PASSWORD }
    for (const confirmed of ['', '1']) {
      t.equal((await browser.submit(await browser.open(path), path, { ...fields, confirmed })).status, 403)
    }
    const rows = await database.kysely
      .selectFrom('role_has_permissions')
      .innerJoin('permissions', 'permissions.id', 'permission_id')
      .select('role_id')
      .where('permissions.name', '=', 'bypass authorization')
      .execute()
    t.strictSame(rows, [])
  })

  await t.test('a prohibition of a permission also applies to the panel', async t => {
    const { browser, user } = await aPanelUser(app, database, { roles: ['Admin'] })
    t.equal((await browser.bare('GET', '/admin/users')).status, 200)
    const { id } = await database.kysely
      .selectFrom('prohibitions')
      .select('id')
      .where('name', '=', 'view user')
      .executeTakeFirstOrThrow()
    await database.kysely
      .insertInto('model_prohibitions')
      .values({ prohibition_id: id, model_type: USER_TYPE, model_id: user.id })
      .execute()
    t.equal((await browser.bare('GET', '/admin/users')).status, 403)
  })
})
