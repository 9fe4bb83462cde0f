import t from 'tap'
import { BANNED, INVALID_ABILITY, UNAUTHORIZED } from '../../../fixtures/answers.ts'
import { prohibit, sanction } from '../../../fixtures/bans.ts'
import { aLoggedInUser, TestBrowser } from '../../../fixtures/browser.ts'
import {
  anEntry,
  aProfile,
  BYPASS,
  call,
  deleteProfiles,
  entryWrites,
  idsOf,
  listedIds,
  NEW_PROFILE,
  PRIVATE,
  PROFILE_PATH,
  profileRoutes,
  profileRow,
} from '../../../fixtures/external-profiles.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import { aToken, aUser, type TestUser } from '../../../fixtures/users.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`access to external profiles on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database, { HIDE_PRIVATE: 'off' })

    t.test('401 comes first, then 404, 403 and 422', async t => {
      const powerless = await aUser(database)
      const profile = await aProfile(database, null)
      const entry = await anEntry(database, profile)
      const unknown = { id: profile.id + 1_000_000 }
      const unknownRoutes = [...profileRoutes(unknown, entry), ...entryWrites(unknown, entry)]
      for (const [index, { method, path }] of [
        ...profileRoutes(profile, entry),
        ...entryWrites(profile, entry),
      ].entries()) {
        const isRead = method === 'GET'
        const invalid = { query: 'include=x', ...(!isRead && { payload: { visibility: 'x' } }) }
        const statusOf = async (url: string, caller: TestUser | null) =>
          (await call(app, method, url, caller, invalid)).status
        const name = `${method} ${path}`
        t.equal(await statusOf(path, null), isRead ? 422 : 401, `${name} by a guest`)
        t.equal(await statusOf(path, powerless), 403, `${name} without the permission`)
        if (path === PROFILE_PATH) continue
        const missing = unknownRoutes[index]?.path ?? ''
        t.equal(await statusOf(missing, null), isRead ? 404 : 401, `${name} by a guest, unknown profile`)
        t.equal(await statusOf(missing, powerless), 404, `${name} without the permission, unknown profile`)
      }
    })

    t.test('other methods return 405', async t => {
      const user = await aUser(database)
      const profile = await aProfile(database, null)
      const entry = await anEntry(database, profile)
      for (const [method, path] of [
        ['PUT', PROFILE_PATH],
        ['DELETE', PROFILE_PATH],
        ['POST', `${PROFILE_PATH}/${profile.id}`],
        ['DELETE', `${PROFILE_PATH}/${profile.id}/externalentry`],
        ['POST', `${PROFILE_PATH}/${profile.id}/externalentry/${entry.id}`],
      ] as const) {
        t.equal((await call(app, method, path, user, { payload: {} })).status, 405, `${method} ${path}`)
      }
    })

    t.test('an owner sees a private profile in a session and with a token, a guest does not', async t => {
      await deleteProfiles(database)
      const { user: owner, browser } = await aLoggedInUser(app, database, { roles: ['Verified'] })
      const other = await aUser(database, { roles: ['Verified'] })
      const hidden = await aProfile(database, owner, { visibility: PRIVATE })
      const open = await aProfile(database, other)
      await aProfile(database, other, { visibility: PRIVATE })
      const entry = await anEntry(database, hidden)
      t.strictSame(listedIds(await browser.get(PROFILE_PATH)), idsOf([hidden, open]), 'in a session')
      t.strictSame(
        listedIds(await call(app, 'GET', PROFILE_PATH, owner)),
        idsOf([hidden, open]),
        'with a token',
      )
      t.strictSame(listedIds(await call(app, 'GET', PROFILE_PATH)), idsOf([open]), 'a guest')
      const filtered = await browser.get(`${PROFILE_PATH}?filter[visibility]=private`)
      t.strictSame(listedIds(filtered), idsOf([hidden]), 'filtered in a session')
      const one = `${PROFILE_PATH}/${hidden.id}`
      for (const path of [one, `${one}/externalentry`, `${one}/externalentry/${entry.id}`]) {
        t.equal((await browser.get(path)).status, 200, `${path} in a session`)
        t.equal((await new TestBrowser(app).get(path)).status, 403, `${path} as a guest`)
      }
    })

    t.test('a session can create, update and delete profiles, with a CSRF token', async t => {
      const { user, browser } = await aLoggedInUser(app, database, { roles: ['Verified'] })
      const hidden = await aProfile(database, user, { visibility: PRIVATE })
      const entry = await anEntry(database, hidden)
      const one = `${PROFILE_PATH}/${hidden.id}`
      const created = await browser.post(PROFILE_PATH, NEW_PROFILE)
      t.equal(created.status, 201)
      t.equal((await profileRow(database, created.json.externalprofile.id))?.user_id, user.id)
      const withoutToken = await browser.bare('POST', PROFILE_PATH, { payload: NEW_PROFILE })
      t.equal(withoutToken.status, 419, 'without a CSRF token')
      const updated = await browser.send('PUT', one, { payload: { visibility: 'Public' } })
      t.equal(updated.json.externalprofile.visibility, 'Public')
      t.equal((await browser.send('DELETE', `${one}/externalentry/${entry.id}`)).status, 403, 'an entry')
      t.equal((await browser.send('DELETE', one)).status, 200)
      t.equal(await profileRow(database, hidden.id), undefined)
    })

    t.test('a token needs read:externalprofile to read and write:externalprofile to write', async t => {
      const user = await aUser(database, { roles: ['Verified'] })
      const profile = await aProfile(database, user)
      const entry = await anEntry(database, profile)
      const unknown = { id: profile.id + 1_000_000 }
      const reader = await aToken(database, user.id, {
        abilities: ['read:externalprofile', 'write:playlist'],
      })
      const writer = await aToken(database, user.id, {
        abilities: ['write:externalprofile', 'read:playlist'],
      })
      for (const { method, path } of entryWrites(profile, entry)) {
        t.strictSame((await call(app, method, path, reader)).json, INVALID_ABILITY, `${method} ${path}`)
        t.strictSame((await call(app, method, path, writer)).json, UNAUTHORIZED, `${method} ${path}`)
      }
      for (const [index, { method, path, status, payload }] of profileRoutes(profile, entry).entries()) {
        const [able, unable] = method === 'GET' ? [reader, writer] : [writer, reader]
        for (const url of [path, profileRoutes(unknown, entry)[index]!.path]) {
          const answer = await call(app, method, url, unable, { payload })
          t.equal(answer.status, 403, `${method} ${url} without the ability`)
          t.strictSame(answer.json, INVALID_ABILITY, `${method} ${url} without the ability`)
        }
        const answer = await call(app, method, path, able, { payload })
        t.equal(answer.status, status, `${method} ${path} with the ability`)
      }
    })

    for (const [index, route] of profileRoutes({ id: 0 }, { id: 0 }).entries()) {
      const { method, permission, status: success } = route
      const what = `${method} of ${route.path.replaceAll('/0', '/{id}')}`

      /** Sends the request about a new profile of the caller. */
      async function request(user: TestUser) {
        const profile = await aProfile(database, user)
        const entry = await anEntry(database, profile)
        const { path, payload } = profileRoutes(profile, entry)[index]!
        return call(app, method, path, user, { payload })
      }

      t.test(`${what} by a user who is banned from it returns 403`, async t => {
        for (const [ban, expiresAt] of [
          [prohibit, null],
          [prohibit, '2027-01-01'],
          [sanction, null],
        ] as const) {
          const user = await aUser(database, { roles: ['Verified'] })
          await ban(database, user, permission, expiresAt)
          const answer = await request(user)
          t.equal(answer.status, 403, `by a ${ban.name} until ${expiresAt}`)
          t.strictSame(answer.json, BANNED, `by a ${ban.name} until ${expiresAt}`)
        }
      })

      t.test(`${what} is not affected by expired, other and bypassed bans`, async t => {
        const user = await aUser(database, { roles: ['Verified'] })
        await prohibit(database, user, permission, '2026-01-01')
        t.equal((await request(user)).status, success, 'an expired ban')
        const other = await aUser(database, { roles: ['Verified'] })
        await prohibit(database, other, 'view playlist')
        t.equal((await request(other)).status, success, 'a ban from playlists')
        const bypass = await aUser(database, { permissions: [BYPASS] })
        await prohibit(database, bypass, permission)
        t.equal((await request(bypass)).status, success, 'the bypass of authorization')
      })
    }
  })
}
