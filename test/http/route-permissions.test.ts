import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { createRowLoader } from '#src/auth/row-loader.ts'
import { rowOf } from '#src/http/loaded-row.ts'
import { BANNED, UNAUTHORIZED } from '../fixtures/answers.ts'
import { aUser, USER_TYPE } from '../fixtures/users.ts'
import { get, startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

const RESTRICTION = {
  moderator_type: null,
  moderator_id: null,
  reason: null,
  created_at: null,
  updated_at: null,
}

t.test('access rules of routes', async t => {
  const routes = (app: FastifyInstance) => {
    app.get(
      '/permitted',
      { config: { access: { auth: 'required', permission: 'view playlist' } } },
      async () => ({
        ok: true,
      }),
    )
    app.get(
      '/optional',
      { config: { access: { auth: 'optional', permission: 'view playlist' } } },
      async request => ({
        user: request.identity?.user.id ?? null,
      }),
    )
    app.get('/anonymous', { config: { access: { auth: 'none' } } }, async request => ({
      identity: request.identity,
    }))
  }

  await t.test('a route with a permission allows users who hold it directly or by a role', async t => {
    const app = await startApp(t, { database, routes })
    const unprivileged = await aUser(database)
    const direct = await aUser(database, { permissions: ['view playlist'] })
    const byRole = await aUser(database, { roles: ['Verified'] })
    t.equal((await get(app, '/permitted')).status, 401)
    const refused = await get(app, '/permitted', unprivileged.token)
    t.equal(refused.status, 403)
    t.strictSame(refused.json, UNAUTHORIZED)
    t.equal((await get(app, '/permitted', direct.token)).status, 200)
    t.equal((await get(app, '/permitted', byRole.token)).status, 200)
  })

  await t.test('permissions of other guards than web and api do not count', async t => {
    const app = await startApp(t, { database, routes })
    const requestWithGuard = async (guard: string) => {
      const { id, token } = await aUser(database)
      const row = await database.kysely
        .insertInto('permissions')
        .values({ name: 'view playlist', guard_name: guard, created_at: null, updated_at: null })
        .onConflict(conflict => conflict.columns(['name', 'guard_name']).doUpdateSet({ guard_name: guard }))
        .returning('id')
        .executeTakeFirstOrThrow()
      await database.kysely
        .insertInto('model_has_permissions')
        .values({ permission_id: row.id, model_type: USER_TYPE, model_id: id })
        .execute()
      return (await get(app, '/permitted', token)).status
    }
    t.equal(await requestWithGuard('web'), 200)
    t.equal(await requestWithGuard('api'), 200)
    t.equal(await requestWithGuard('admin'), 403)
  })

  await t.test('a prohibition, direct or by a sanction, is 403 until it expires', async t => {
    const app = await startApp(t, { database, routes })
    const prohibition = await database.kysely
      .selectFrom('prohibitions')
      .select('id')
      .where('name', '=', 'view playlist')
      .executeTakeFirstOrThrow()
    const requestProhibited = async (expires_at: string | null, model_type = USER_TYPE) => {
      const user = await aUser(database, { roles: ['Verified'] })
      await database.kysely
        .insertInto('model_prohibitions')
        .values({ ...RESTRICTION, model_type, model_id: user.id, prohibition_id: prohibition.id, expires_at })
        .execute()
      return get(app, '/permitted', user.token)
    }
    const banned = await requestProhibited(null)
    t.equal(banned.status, 403)
    t.strictSame(banned.json, BANNED)
    t.equal((await requestProhibited('2026-03-01 12:00:01')).status, 403)
    t.equal((await requestProhibited('2026-03-01 12:00:00')).status, 200, 'expires exactly now')
    t.equal(
      (await requestProhibited(null, 'App\\Models\\User')).status,
      403,
      "with the class name of Laravel's default user model",
    )
    t.equal(
      (await requestProhibited(null, 'App\\Models\\Robot')).status,
      200,
      'with the class name of another model',
    )

    const sanction = await database.kysely
      .insertInto('sanctions')
      .values({ name: 'silence', created_at: null, updated_at: null })
      .returning('id')
      .executeTakeFirstOrThrow()
    await database.kysely
      .insertInto('sanction_prohibition')
      .values({
        sanction_id: sanction.id,
        prohibition_id: prohibition.id,
        created_at: null,
        updated_at: null,
      })
      .execute()
    const requestSanctioned = async (expires_at: string | null, permissions: string[] = []) => {
      const user = await aUser(database, { roles: ['Verified'], permissions })
      await database.kysely
        .insertInto('model_sanctions')
        .values({
          ...RESTRICTION,
          model_type: USER_TYPE,
          model_id: user.id,
          sanction_id: sanction.id,
          expires_at,
        })
        .execute()
      return (await get(app, '/permitted', user.token)).status
    }
    t.equal(await requestSanctioned(null), 403)
    t.equal(await requestSanctioned('2026-03-01 11:59:59'), 200)
    t.equal(await requestSanctioned(null, ['bypass authorization']), 200, 'bypass authorization overrides it')
  })

  await t.test('bypass authorization allows every route', async t => {
    const app = await startApp(t, { database, routes })
    const { token } = await aUser(database, { permissions: ['bypass authorization'] })
    t.equal((await get(app, '/permitted', token)).status, 200)
  })

  await t.test(
    'with optional authentication an invalid token is anonymous, and a user needs the permission',
    async t => {
      const app = await startApp(t, { database, routes })
      const unprivileged = await aUser(database)
      const user = await aUser(database, { permissions: ['view playlist'] })
      t.strictSame((await get(app, '/optional')).json, { user: null })
      t.strictSame((await get(app, '/optional', '1|wrong')).json, { user: null })
      t.equal((await get(app, '/optional', '1|wrong')).status, 200)
      t.strictSame((await get(app, '/optional', user.token)).json, { user: user.id })
      t.equal((await get(app, '/optional', unprivileged.token)).status, 403)
    },
  )

  await t.test('a route without authentication looks up no token', async t => {
    const app = await startApp(t, { database, routes })
    const { token } = await aUser(database)
    database.statements.length = 0
    t.strictSame((await get(app, '/anonymous', token)).json, { identity: null })
    t.strictSame(database.statements, [])
  })

  await t.test(
    'a route that loads a row is 403 without the permission, even if it does not read the row',
    async t => {
      const load = createRowLoader({ find: async () => ({ secret: true }), allows: () => true })
      const access = { auth: 'required', permission: 'view playlist', load } as const
      const app = await startApp(t, {
        database,
        routes: app => {
          app.get('/reads-row', { config: { access } }, async request => rowOf(request))
          app.get('/ignores-row', { config: { access } }, async () => ({ secret: true }))
        },
      })
      const permitted = await aUser(database, { permissions: ['view playlist'] })
      const forbidden = await aUser(database)
      for (const path of ['/reads-row', '/ignores-row']) {
        t.equal((await get(app, path)).status, 401)
        const refused = await get(app, path, forbidden.token)
        t.equal(refused.status, 403)
        t.notMatch(refused.text, 'secret')
        t.equal((await get(app, path, permitted.token)).status, 200)
      }
    },
  )

  await t.test('a route without an access rule stops the start', async t => {
    await t.rejects(
      startApp(t, { database, routes: app => app.get('/undeclared', async () => 'x') }),
      /The route GET \/undeclared does not declare its access/,
    )
  })
})
