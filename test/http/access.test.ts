import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { Type } from 'typebox'
import { isOwner } from '#src/auth/permission.ts'
import { createRowLoader } from '#src/auth/row-loader.ts'
import { setFeature } from '#src/database/features.ts'
import { rowOf } from '#src/http/loaded-row.ts'
import { NOW, testClock } from '../fixtures/clock.ts'
import { aUser } from '../fixtures/users.ts'
import { send, startApp } from '../support/app.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { RawClient } from '../support/raw-client.ts'

let database: TestDatabase
t.before(async () => {
  database = await createDatabase(t, 'postgres')
})
t.teardown(() => database.close())

interface Row {
  id: number
  ownerId: number
}

/** A loader for rows of one owner with ids up to 9, which records the ids. */
const ownedBy = (ownerId: number, { hidesRows = false } = {}) => {
  const asked: number[] = []
  const loader = createRowLoader({
    hidesRows,
    find: async ({ row }: { row: string }): Promise<Row | null> => {
      asked.push(Number(row))
      return Number(row) < 10 ? { id: Number(row), ownerId } : null
    },
    allows: (row: Row, identity) => isOwner(identity, row.ownerId),
  })
  return Object.assign(loader, { asked })
}

const put = async (app: FastifyInstance, path: string, token?: string, payload: object = {}) => {
  const { status, json } = await send(app, 'PUT', path, {
    payload,
    ...(token && { headers: { authorization: `Bearer ${token}` } }),
  })
  return [status, json.message]
}

t.test('the row of a path is loaded between authentication, permission, input and quota', async t => {
  const owner = await aUser(database, { permissions: ['update playlist'] })
  const other = await aUser(database, { permissions: ['update playlist'] })
  const unprivileged = await aUser(database)
  const staff = await aUser(database, { permissions: ['update playlist', 'bypass feature flags'] })
  const open = ownedBy(owner.id)
  const hidden = ownedBy(owner.id, { hidesRows: true })
  const counted: unknown[] = []
  const app = await startApp(t, {
    database,
    routes: app => {
      for (const [prefix, load] of [
        ['/open', open],
        ['/hidden', hidden],
      ] as const) {
        app.put(
          `${prefix}/:row`,
          {
            config: {
              access: {
                auth: 'required',
                permission: 'update playlist',
                load,
                feature: 'playlists',
                quota: {
                  max: 5,
                  count: async (_identity, row: Row) => {
                    counted.push(row)
                    return row.id
                  },
                  message: most => `no more than ${most}`,
                },
              },
            },
            schema: { body: Type.Object({ name: Type.String() }) },
          },
          async request => ({ message: `row ${rowOf(request).id}` }),
        )
      }
    },
  })
  const FORBIDDEN = [403, 'This action is unauthorized.']
  const NOT_FOUND = [404, 'Not Found.']

  t.strictSame(await put(app, '/open/1'), [401, 'Unauthenticated.'])
  t.strictSame(open.asked, [], 'not loaded for anonymous requests')
  t.strictSame(await put(app, '/open/10', unprivileged.token), NOT_FOUND, '404 precedes the permission')
  t.strictSame(await put(app, '/open/1', unprivileged.token), FORBIDDEN)
  t.strictSame(await put(app, '/open/1', other.token), FORBIDDEN)
  t.strictSame(await put(app, '/open/5', other.token), FORBIDDEN)
  t.strictSame(counted, [], 'rows of another user are not counted')
  t.strictSame(await put(app, '/open/5', owner.token), [403, 'no more than 5'], '403 precedes the validation')
  t.strictSame(await put(app, '/open/1', owner.token), [422, 'The name field is required.'])
  t.strictSame(await put(app, '/open/1', owner.token, { name: 'x' }), [200, 'row 1'])

  hidden.asked.length = 0
  t.strictSame(await put(app, '/hidden/10', unprivileged.token), FORBIDDEN, '403 precedes 404')
  t.strictSame(hidden.asked, [])
  t.strictSame(await put(app, '/hidden/10', owner.token), NOT_FOUND)
  t.strictSame(await put(app, '/hidden/1', owner.token, { name: 'x' }), [200, 'row 1'])

  await setFeature(database.kysely, 'playlists', false, NOW)
  counted.length = 0
  t.strictSame(await put(app, '/open/1', owner.token, { name: 'x' }), FORBIDDEN)
  t.strictSame(
    await put(app, '/open/1', staff.token, { name: 'x' }),
    FORBIDDEN,
    'the row belongs to another user',
  )
  t.strictSame(counted, [], 'the feature is checked before the quota')
  await setFeature(database.kysely, 'playlists', true, NOW)
})

t.test(
  'a loader that writes runs after the validation and gets the result of the permission check',
  async t => {
    const may = await aUser(database, { permissions: ['update playlist'] })
    const mayNot = await aUser(database)
    const asked: boolean[] = []
    const load = createRowLoader({
      isWrite: true,
      find: async (_params, _identity, isPermitted) => {
        asked.push(isPermitted)
        return {}
      },
      allows: () => true,
    })
    const app = await startApp(t, {
      database,
      routes: app => {
        app.put(
          '/write/:row',
          {
            config: { access: { auth: 'required', permission: 'update playlist', load } },
            schema: { body: Type.Object({ name: Type.String() }) },
          },
          async () => ({ message: 'written' }),
        )
      },
    })
    t.equal((await put(app, '/write/1', may.token))[0], 422)
    t.strictSame(asked, [])
    t.equal((await put(app, '/write/1', mayNot.token, { name: 'x' }))[0], 403)
    t.equal((await put(app, '/write/1', may.token, { name: 'x' }))[0], 200)
    t.strictSame(asked, [false, true])
  },
)

t.test('an API route with a parameter and without a loader stops the start', async t => {
  const start = (load?: 'own') =>
    startApp(t, {
      database,
      routes: app => {
        const access = { auth: 'required', ...(load && { load }) } as const
        app.get('/thing/:thing', { config: { access, isApi: true } }, async () => ({}))
      },
    })
  await t.rejects(start(), /The route GET \/thing\/:thing does not declare how the row .* is loaded/)
  await t.resolves(start('own'))
})

t.test('a permission or token that is revoked before a late body is refused', async t => {
  const clock = testClock()
  const called: string[] = []
  const app = await startApp(t, {
    database,
    clock,
    routes: app => {
      for (const [path, load] of [
        ['/head', undefined],
        ['/row', createRowLoader({ find: async () => ({}), allows: () => true })],
      ] as const) {
        const access = { auth: 'required', permission: 'update playlist', ...(load && { load }) } as const
        app.put(path, { config: { access } }, async () => {
          called.push(path)
          return {}
        })
      }
    },
  })
  const sendLateBody = async (path: string, meanwhile: (userId: number) => Promise<unknown>) => {
    const { id, token } = await aUser(database, { permissions: ['update playlist'] })
    const client = await RawClient.connect(t, app)
    database.queries.length = 0
    client.head(`PUT ${path}`, {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'content-length': 2,
    })
    while (!database.queries.some(({ name }) => name === 'tokens_by_id')) await new Promise(setImmediate)
    await meanwhile(id)
    clock.advance(51)
    client.write('{}')
    return (await client.answer()).status
  }
  for (const path of ['/head', '/row']) {
    t.equal(await sendLateBody(path, async () => {}), 200)
    called.length = 0
    const take = (id: number) =>
      database.kysely.deleteFrom('model_has_permissions').where('model_id', '=', id).execute()
    t.equal(await sendLateBody(path, take), 403, path)
    const revoke = (id: number) =>
      database.kysely.deleteFrom('personal_access_tokens').where('tokenable_id', '=', id).execute()
    t.equal(await sendLateBody(path, revoke), 401, path)
    t.strictSame(called, [])
  }
})

t.test('an unknown access option stops the start', async t => {
  const access = { auth: 'required', permision: 'view playlist' } as const
  await t.rejects(
    startApp(t, {
      database,
      routes: app => app.get('/misspelt', { config: { access } }, async () => ({})),
    }),
    /The route GET \/misspelt has an unknown access.permision/,
  )
})

/** Never called: it has to compile, except for the marked lines. */
export function types(app: FastifyInstance) {
  const load = createRowLoader({ find: async (): Promise<Row | null> => null, allows: () => true })
  app.get('/a', { config: { access: { auth: 'required', load } } }, request => {
    const { id }: { id: number } = rowOf(request)
    // @ts-expect-error: the row has the type that its loader declares
    const text: { id: string } = rowOf(request)
    return { id, text }
  })
  app.get('/b', { config: { access: { auth: 'required' } } }, request => {
    // @ts-expect-error: nothing was loaded
    return rowOf(request)
  })
  app.get('/c', { config: { access: { auth: 'required', load: 'own' } } }, request => {
    // @ts-expect-error: nor here
    return rowOf(request)
  })
  app.get('/d', request => {
    // @ts-expect-error: nor where no access is declared
    return rowOf(request)
  })
  // @ts-expect-error: a row that its own policy cannot judge
  createRowLoader({ find: async () => ({ id: 1 }), allows: (row: { ownerId: number }) => row.ownerId === 1 })
}
