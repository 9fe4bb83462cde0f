import t from 'tap'
import { errorsOf, NOT_FOUND, UNAUTHENTICATED, UNAUTHORIZED } from '../../../fixtures/answers.ts'
import { MINUTE } from '../../../fixtures/clock.ts'
import {
  anEntry,
  aProfile,
  BYPASS,
  BYPASS_FEATURES,
  CREATE_PROFILE,
  call,
  checkAnswer,
  countRows,
  DELETE_PROFILE,
  NEW_PROFILE,
  PRIVATE,
  PROFILE_PATH,
  type ProfileRequest,
  PUBLIC,
  profileJson,
  profileRow,
  type TestProfile,
  UPDATE_PROFILE,
  VIEW_PROFILE,
} from '../../../fixtures/external-profiles.ts'
import { PROFILE_FEATURE, setFeature, whileFeatureIsOff } from '../../../fixtures/features.ts'
import { FORM, JSON_TYPE } from '../../../fixtures/requests.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import { databaseTime } from '../../../fixtures/timestamps.ts'
import { aUser, type TestUser } from '../../../fixtures/users.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

const HIDE = { visibility: 'Private' }
/** Bodies that a caller without access must get a 403 for: valid, invalid and empty. */
const BODIES = [HIDE, { visibility: 'x' }, {}]

for (const engine of ENGINES) {
  t.test(`updating and deleting external profiles on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database, { HIDE_PRIVATE: 'off' })

    for (const method of ['PUT', 'PATCH']) {
      const update = ({ id }: TestProfile, caller: TestUser | null, payload: object = HIDE) =>
        call(app, method, `${PROFILE_PATH}/${id}`, caller, { payload })

      /** Adds an owner who may update profiles, with a public profile. */
      async function anOwnerWithProfile() {
        const owner = await aUser(database, { permissions: [UPDATE_PROFILE] })
        const profile = await aProfile(database, owner, { name: 'alice', site: 1 })
        const send = (request: ProfileRequest) =>
          call(app, method, `${PROFILE_PATH}/${profile.id}`, owner, request)
        return { owner, profile, send, row: () => profileRow(database, profile.id) }
      }

      t.test(`${method} by the owner changes the visibility`, async t => {
        const { owner, profile, row } = await anOwnerWithProfile()
        const { status, json } = await update(profile, owner)
        t.equal(status, 200)
        t.strictSame(json, { externalprofile: { id: profile.id, ...NEW_PROFILE } })
        t.match(await row(), { visibility: PRIVATE, user_id: owner.id })
      })

      t.test(`${method} by a guest returns 401`, async t => {
        const { profile } = await anOwnerWithProfile()
        checkAnswer(t, await update(profile, null), 401, UNAUTHENTICATED)
      })

      t.test(
        `${method} without access returns 403, also with invalid input, and changes nothing`,
        async t => {
          const { owner, profile } = await anOwnerWithProfile()
          const other = await aUser(database, { permissions: [UPDATE_PROFILE] })
          const powerless = await aUser(database, {
            permissions: [VIEW_PROFILE, CREATE_PROFILE, DELETE_PROFILE],
          })
          const admin = await aUser(database, { roles: ['Admin'] })
          const ownerless = await aProfile(database, null)
          const ofPowerless = await aProfile(database, powerless)
          for (const [label, row, caller] of [
            ['an owner without the permission', ofPowerless, powerless],
            ['another user', profile, other],
            ['an administrator', profile, admin],
            ['a profile without a user', ownerless, owner],
            ['a profile without a user, an administrator', ownerless, admin],
          ] as const) {
            for (const payload of BODIES) {
              const answer = await update(row, caller, payload)
              checkAnswer(t, answer, 403, UNAUTHORIZED, `${label}, ${JSON.stringify(payload)}`)
            }
          }
          await whileFeatureIsOff(database, PROFILE_FEATURE, async () => {
            for (const payload of BODIES) {
              const answer = await update(profile, owner, payload)
              checkAnswer(t, answer, 403, UNAUTHORIZED, `feature off, ${JSON.stringify(payload)}`)
            }
          })
          for (const { id, updated_at } of [profile, ownerless, ofPowerless])
            t.match(await profileRow(database, id), { visibility: PUBLIC, updated_at })
        },
      )

      t.test(`${method} with the bypass of authorization changes any profile`, async t => {
        const bypass = await aUser(database, { permissions: [BYPASS] })
        const owner = await aUser(database)
        for (const user of [null, owner])
          t.equal((await update(await aProfile(database, user), bypass)).status, 200)
      })

      t.test(`${method} with the bypass of features does not depend on the flag`, async t => {
        t.teardown(() => setFeature(database, PROFILE_FEATURE, null))
        const exempt = await aUser(database, { permissions: [UPDATE_PROFILE, BYPASS_FEATURES] })
        const profile = await aProfile(database, exempt)
        for (const value of [false, true, null]) {
          await setFeature(database, PROFILE_FEATURE, value)
          t.equal((await update(profile, exempt)).status, 200, `flag ${value}`)
        }
      })

      t.test(`${method} without a change keeps the time of the last update`, async t => {
        const { profile, send, row } = await anOwnerWithProfile()
        const before = await row()
        for (const request of [
          { payload: {} },
          {},
          { payload: '', headers: JSON_TYPE },
          { payload: { visibility: 'public' } },
          { payload: { visibility: 0 } },
          { query: 'visibility=public' },
        ]) {
          app.clock.advance(MINUTE)
          const { status, json } = await send(request)
          t.equal(status, 200, JSON.stringify(request))
          t.strictSame(json, { externalprofile: profileJson(profile) }, JSON.stringify(request))
          t.strictSame(await row(), before, JSON.stringify(request))
        }
      })

      t.test(`${method} accepts a visibility as a label in any case or as a number`, async t => {
        const { profile, send, row } = await anOwnerWithProfile()
        const before = await row()
        let visibility = PUBLIC
        for (const input of ['Private', 'PUBLIC', 'private', 'public', 1, 0, '1', '0', ' pRiVaTe ']) {
          app.clock.advance(MINUTE)
          visibility = 1 - visibility
          const { json } = await send({ payload: { visibility: input } })
          const expected = { externalprofile: profileJson({ ...profile, visibility }) }
          t.strictSame(json, expected, JSON.stringify(input))
          const updated_at = databaseTime(app.clock())
          t.strictSame(
            await row(),
            { ...before, visibility, updated_at },
            `${JSON.stringify(input)}, the row`,
          )
        }
      })

      t.test(`${method} with an invalid visibility returns 422`, async t => {
        const { send, row } = await anOwnerWithProfile()
        const errors = async (visibility: unknown) => errorsOf(await send({ payload: { visibility } }))
        const selected = { visibility: ['The selected visibility is invalid.'] }
        for (const input of ['Unlisted', 2, '2', -1, 'secret'])
          t.strictSame(await errors(input), selected, JSON.stringify(input))
        const required = { visibility: ['The visibility field is required.'] }
        for (const input of [null, '', ' '])
          t.strictSame(await errors(input), required, JSON.stringify(input))
        t.equal((await row())?.visibility, PUBLIC)
      })

      t.test(`${method} ignores name, site and all other fields`, async t => {
        const { owner, send, row } = await anOwnerWithProfile()
        for (const payload of [
          { name: 'bob', site: 'Kitsu' },
          { name: ['x'], site: 'nowhere' },
          { name: null, site: null, user_id: 1, id: 1, profile_id: 1, created_at: 'x' },
          { name: 'x'.repeat(1000), site: 99 },
        ]) {
          for (const body of [{ ...payload, visibility: 'private' }, payload]) {
            const label = JSON.stringify(body).slice(0, 60)
            const { status, json } = await send({ payload: body })
            t.equal(status, 200, label)
            t.match(json.externalprofile, { name: 'alice', site: 'AniList' }, label)
            t.match(await row(), { name: 'alice', site: 1, user_id: owner.id }, label)
          }
        }
        const query = 'name=bob&site=x&include=user&fields[externalprofile]=id&sort=x'
        const { json } = await send({ query })
        t.strictSame(Object.keys(json.externalprofile), ['id', 'name', 'site', 'visibility'], query)
      })

      t.test(`${method} reads query string, form and body, and the body takes precedence`, async t => {
        const query = 'visibility=public'
        for (const [label, request, expected] of [
          ['the query string', { query }, 'Public'],
          ['both', { query, payload: { visibility: 'private' } }, 'Private'],
          ['a form', { payload: query, headers: FORM }, 'Public'],
        ] as [string, ProfileRequest, string][]) {
          const owner = await aUser(database, { permissions: [UPDATE_PROFILE] })
          const visibility = expected === 'Public' ? PRIVATE : PUBLIC
          const { id } = await aProfile(database, owner, { visibility })
          const { json } = await call(app, method, `${PROFILE_PATH}/${id}`, owner, request)
          t.equal(json.externalprofile?.visibility, expected, label)
        }
      })
    }
    const remove = ({ id }: TestProfile, caller: TestUser | null) =>
      call(app, 'DELETE', `${PROFILE_PATH}/${id}`, caller)
    const anOwner = () => aUser(database, { permissions: [DELETE_PROFILE] })

    t.test('DELETE removes the profile with its entries and tokens, and no other profile', async t => {
      const owner = await anOwner()
      const profile = await aProfile(database, owner, { name: "al'ice" })
      const kept = await aProfile(database, owner)
      for (const { id: profile_id } of [profile, kept]) {
        await anEntry(database, { id: profile_id })
        const token = { access_token: 'x', refresh_token: 'y', profile_id }
        await database.kysely.insertInto('external_tokens').values(token).execute()
      }
      const message = "External Profile 'al'ice' was deleted."
      checkAnswer(t, await remove(profile, owner), 200, { message })
      for (const [{ id }, count] of [
        [profile, 0],
        [kept, 1],
      ] as const) {
        for (const table of ['external_profiles', 'external_entries', 'external_tokens'] as const)
          t.equal(await countRows(database, table, 'profile_id', id), count, table)
      }
      checkAnswer(t, await remove(profile, owner), 404, NOT_FOUND, 'a second deletion')
    })

    t.test('DELETE by a guest returns 401', async t => {
      const profile = await aProfile(database, await anOwner())
      checkAnswer(t, await remove(profile, null), 401, UNAUTHENTICATED)
      t.ok(await profileRow(database, profile.id))
    })

    t.test('DELETE without access returns 403, and nothing is deleted', async t => {
      const owner = await anOwner()
      const other = await aUser(database, { permissions: [DELETE_PROFILE] })
      const powerless = await aUser(database, { permissions: [VIEW_PROFILE, CREATE_PROFILE, UPDATE_PROFILE] })
      const admin = await aUser(database, { roles: ['Admin'] })
      const profile = await aProfile(database, owner)
      const ownerless = await aProfile(database, null)
      const ofPowerless = await aProfile(database, powerless, { visibility: PRIVATE })
      for (const [label, row, caller] of [
        ['an owner without the permission', ofPowerless, powerless],
        ['another user', profile, other],
        ['an administrator', profile, admin],
        ['a profile without a user', ownerless, owner],
        ['a profile without a user, an administrator', ownerless, admin],
      ] as const) {
        checkAnswer(t, await remove(row, caller), 403, UNAUTHORIZED, label)
        t.ok(await profileRow(database, row.id), label)
      }
      await whileFeatureIsOff(database, PROFILE_FEATURE, async () => {
        checkAnswer(t, await remove(profile, owner), 403, UNAUTHORIZED, 'the feature is off')
      })
      t.ok(await profileRow(database, profile.id), 'the feature is off')
    })

    t.test('DELETE with the bypass of authorization removes any profile', async t => {
      const bypass = await aUser(database, { permissions: [BYPASS] })
      const hidden = await aProfile(database, await aUser(database), { visibility: PRIVATE })
      for (const row of [await aProfile(database, null), hidden])
        t.equal((await remove(row, bypass)).status, 200)
    })

    t.test('DELETE with the bypass of features does not depend on the flag', async t => {
      t.teardown(() => setFeature(database, PROFILE_FEATURE, null))
      const exempt = await aUser(database, { permissions: [DELETE_PROFILE, BYPASS_FEATURES] })
      for (const value of [false, true, null]) {
        await setFeature(database, PROFILE_FEATURE, value)
        const profile = await aProfile(database, exempt)
        t.equal((await remove(profile, exempt)).status, 200, `flag ${value}`)
        t.equal(await profileRow(database, profile.id), undefined, `flag ${value}`)
      }
    })

    t.test(
      'of two concurrent DELETE requests one removes the profile, and the other returns 404',
      async t => {
        const owner = await anOwner()
        const profile = await aProfile(database, owner)
        const answers = await Promise.all([remove(profile, owner), remove(profile, owner)])
        t.strictSame(answers.map(({ status }) => status).sort(), [200, 404])
      },
    )
  })
}
