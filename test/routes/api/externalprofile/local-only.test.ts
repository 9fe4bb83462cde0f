import t from 'tap'
import { loadConfig } from '#src/config/load.ts'
import { NOT_FOUND, UNAUTHENTICATED, UNAUTHORIZED } from '../../../fixtures/answers.ts'
import { problemsOf } from '../../../fixtures/config.ts'
import {
  anEntry,
  aProfile,
  BYPASS,
  BYPASS_FEATURES,
  call,
  entryWrites,
  NEW_PROFILE,
  PRIVATE,
  PROFILE_PATH,
  profileRoutes,
  profileRow,
  quotaExceeded,
} from '../../../fixtures/external-profiles.ts'
import { PROFILE_FEATURE, whileFeatureIsOff } from '../../../fixtures/features.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import { aUser, type TestUser } from '../../../fixtures/users.ts'
import { TEST_KEY } from '../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

/** Settings of a server behind a proxy: requests can come from any address, and 10.0.0.0/8 is local. */
const BEHIND_PROXY = { HIDE_PRIVATE: 'off', TRUSTED_PROXIES: '127.0.0.1', LOCAL_IPS: '10.0.0.0/8' }

const REFUSED = { message: 'Route only available for localhost' }

/** The headers of a request from an address, perhaps on behalf of a visitor. */
const from = (ip: string, visitor?: string) => ({
  'x-forwarded-for': ip,
  ...(visitor && { 'x-forwarded-ip': visitor }),
})
const LOCAL = from('10.1.2.3')
const REMOTE = from('198.51.100.7')

t.test('EXTERNAL_PROFILES_LOCAL_ONLY is off by default and needs LOCAL_IPS', async t => {
  const environment = { APP_KEY: TEST_KEY, EXTERNAL_PROFILES_LOCAL_ONLY: 'true' }
  const problems = problemsOf(environment)
  t.equal(problems.length, 1)
  t.match(problems.join(), /LOCAL_IPS/)
  t.equal(loadConfig({ ...environment, LOCAL_IPS: '127.0.0.1' }).externalProfilesLocalOnly, true)
  t.equal(loadConfig({ APP_KEY: TEST_KEY }).externalProfilesLocalOnly, false)
})

interface Route {
  method: string
  path: string
  payload?: object | undefined
}

for (const engine of ENGINES) {
  t.test(`external profiles for local addresses only on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database, { ...BEHIND_PROXY, EXTERNAL_PROFILES_LOCAL_ONLY: 'true' })
    const open = await startUnlimited(t, database, BEHIND_PROXY)

    /** The body of the answer to a request from a remote address, or with other headers. */
    const bodyOf = async (
      { method, path, payload }: Route,
      caller: TestUser | null,
      { headers = REMOTE, query = '' }: { headers?: Record<string, string>; query?: string } = {},
    ) => (await call(app, method, path, caller, { payload, headers, query })).json

    /** Adds a user with the permissions of a verified user, and a profile with an entry. */
    async function anOwnerWithProfile({ visibility = 0 } = {}) {
      const owner = await aUser(database, { roles: ['Verified'] })
      const profile = await aProfile(database, owner, { visibility })
      const entry = await anEntry(database, profile)
      return { owner, profile, entry, unknown: { id: profile.id + 1_000_000 } }
    }

    t.test('a request from a remote address returns 403, whatever its headers claim', async t => {
      const { owner, profile, entry } = await anOwnerWithProfile()
      const bypass = await aUser(database, { permissions: [BYPASS, BYPASS_FEATURES] })
      const before = await profileRow(database, profile.id)
      for (const { method, path, payload } of profileRoutes(profile, entry)) {
        for (const [who, caller, headers] of [
          ['a remote address', owner, REMOTE],
          ['a remote address with both bypasses', bypass, REMOTE],
          ['a remote visitor of a local address', owner, from('10.1.2.3', '203.0.113.1')],
          ['a local visitor of a local address', owner, from('10.1.2.3', '10.1.2.4')],
          ['a remote address that claims a local visitor', owner, from('198.51.100.7', '10.1.2.3')],
          ['a remote address that claims a local one', owner, from('10.1.2.3, 198.51.100.7')],
          ...(method === 'GET' ? ([['a guest', null, REMOTE]] as const) : []),
        ] as const) {
          const answer = await call(app, method, path, caller, { payload, headers })
          t.equal(answer.status, 403, `${method} ${path}: ${who}`)
          t.strictSame(answer.json, REFUSED, `${method} ${path}: ${who}`)
        }
        t.strictSame(await profileRow(database, profile.id), before, `${method} ${path} changes nothing`)
      }
      t.equal((await call(app, 'HEAD', PROFILE_PATH, null, { headers: REMOTE })).status, 403, 'HEAD')
    })

    t.test('a request from a local address is allowed', async t => {
      const { owner, profile, entry } = await anOwnerWithProfile()
      for (const { method, path, status, payload } of profileRoutes(profile, entry)) {
        const answer = await call(app, method, path, owner, { payload, headers: LOCAL })
        t.equal(answer.status, status, `${method} ${path}`)
      }
      t.equal((await call(app, 'GET', PROFILE_PATH, null, { headers: LOCAL })).status, 200, 'a guest')
    })

    t.test('/api/me/externalprofile is allowed from a remote address', async t => {
      const { owner } = await anOwnerWithProfile()
      const answer = await call(app, 'GET', '/api/me/externalprofile', owner, { headers: REMOTE })
      t.equal(answer.status, 200)
      t.equal(answer.json.externalprofiles.length, 1)
    })

    t.test('401, 404 and the 403 of permission and ownership come before the address', async t => {
      const { owner, profile, entry, unknown } = await anOwnerWithProfile({ visibility: PRIVATE })
      const other = await aUser(database, { roles: ['Verified'] })
      const powerless = await aUser(database)
      for (const route of [
        ...profileRoutes(unknown, entry),
        ...profileRoutes(profile, unknown),
        ...entryWrites(unknown, entry),
      ]) {
        const { method, path } = route
        if (method !== 'GET') t.strictSame(await bodyOf(route, null), UNAUTHENTICATED, `${method} ${path}`)
        if (path.includes(`${unknown.id}`))
          t.strictSame(await bodyOf(route, owner), NOT_FOUND, `${method} ${path}`)
      }
      for (const route of profileRoutes(profile, entry)) {
        const name = `${route.method} ${route.path}`
        t.strictSame(await bodyOf(route, powerless), UNAUTHORIZED, `${name} without the permission`)
        if (route.path === PROFILE_PATH) continue
        t.strictSame(await bodyOf(route, other), UNAUTHORIZED, `${name} of another user`)
        if (route.method === 'GET')
          t.strictSame(await bodyOf(route, null), UNAUTHORIZED, `${name} by a guest`)
      }
      for (const route of entryWrites(profile, entry))
        t.strictSame(await bodyOf(route, owner), UNAUTHORIZED, `${route.method} ${route.path}`)
    })

    t.test('the address comes before the 422 of a query', async t => {
      const { owner, profile, entry } = await anOwnerWithProfile({ visibility: PRIVATE })
      const query = 'include=x'
      for (const route of profileRoutes(profile, entry).filter(({ method }) => method === 'GET')) {
        t.strictSame(await bodyOf(route, owner, { query }), REFUSED, `GET ${route.path}, remote`)
        t.ok((await bodyOf(route, owner, { query, headers: LOCAL })).errors, `GET ${route.path}, local`)
      }
    })

    t.test('the address comes before feature, quota and the 422 of input', async t => {
      const { owner, profile } = await anOwnerWithProfile({ visibility: PRIVATE })
      for (let i = 0; i < 4; i += 1) await aProfile(database, owner)
      const one = `${PROFILE_PATH}/${profile.id}`
      const creations = [
        { method: 'POST', path: PROFILE_PATH, payload: NEW_PROFILE },
        { method: 'POST', path: PROFILE_PATH, payload: {} },
      ]
      const invalidUpdate = { method: 'PUT', path: one, payload: { visibility: 'x' } }
      const writes: Route[] = [
        ...[...creations, invalidUpdate, { method: 'PATCH', path: one, payload: {} }],
        { method: 'DELETE', path: one },
      ]
      await whileFeatureIsOff(database, PROFILE_FEATURE, async () => {
        for (const route of writes) {
          const name = `${route.method} ${route.path} with the feature off`
          t.strictSame(await bodyOf(route, owner), REFUSED, `${name}, remote`)
          t.strictSame(await bodyOf(route, owner, { headers: LOCAL }), UNAUTHORIZED, `${name}, local`)
        }
      })
      for (const route of writes)
        t.strictSame(await bodyOf(route, owner), REFUSED, `${route.method} ${route.path}, remote`)
      for (const route of creations) {
        const body = await bodyOf(route, owner, { headers: LOCAL })
        t.strictSame(body, quotaExceeded(5), 'a creation beyond the quota, local')
      }
      t.ok((await bodyOf(invalidUpdate, owner, { headers: LOCAL })).errors, 'invalid input, local')
      t.ok(await profileRow(database, profile.id), 'the profile is not deleted')
    })

    t.test('without EXTERNAL_PROFILES_LOCAL_ONLY remote addresses are allowed', async t => {
      const { owner, profile, entry } = await anOwnerWithProfile()
      for (const { method, path, status, payload } of profileRoutes(profile, entry)) {
        const answer = await call(open, method, path, owner, { payload, headers: REMOTE })
        t.equal(answer.status, status, `${method} ${path}`)
      }
    })
  })
}
