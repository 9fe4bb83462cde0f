import t from 'tap'
import { NOT_FOUND, UNAUTHENTICATED, UNAUTHORIZED } from '../../../fixtures/answers.ts'
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
  PRIVATE,
  PROFILE_PATH,
  profileRow,
  type TestProfile,
  UPDATE_PROFILE,
  VIEW_PROFILE,
} from '../../../fixtures/external-profiles.ts'
import { PROFILE_FEATURE, setFeature, whileFeatureIsOff } from '../../../fixtures/features.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import { aUser, type TestUser } from '../../../fixtures/users.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`deleting external profiles on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database, { HIDE_PRIVATE: 'off' })
    const remove = ({ id }: TestProfile, caller: TestUser | null) =>
      call(app, 'DELETE', `${PROFILE_PATH}/${id}`, caller)
    const anOwner = () => aUser(database, { permissions: [DELETE_PROFILE] })

    t.test('a deletion removes the profile with its entries and tokens, and no other profile', async t => {
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

    t.test('a guest gets 401', async t => {
      const profile = await aProfile(database, await anOwner())
      checkAnswer(t, await remove(profile, null), 401, UNAUTHENTICATED)
      t.ok(await profileRow(database, profile.id))
    })

    t.test('a user without access gets 403, and nothing is deleted', async t => {
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

    t.test('a user with the bypass of authorization deletes any profile', async t => {
      const bypass = await aUser(database, { permissions: [BYPASS] })
      const hidden = await aProfile(database, await aUser(database), { visibility: PRIVATE })
      for (const row of [await aProfile(database, null), hidden])
        t.equal((await remove(row, bypass)).status, 200)
    })

    t.test('with the bypass of features a deletion does not depend on the flag', async t => {
      t.teardown(() => setFeature(database, PROFILE_FEATURE, null))
      const exempt = await aUser(database, { permissions: [DELETE_PROFILE, BYPASS_FEATURES] })
      for (const value of [false, true, null]) {
        await setFeature(database, PROFILE_FEATURE, value)
        const profile = await aProfile(database, exempt)
        t.equal((await remove(profile, exempt)).status, 200, `flag ${value}`)
        t.equal(await profileRow(database, profile.id), undefined, `flag ${value}`)
      }
    })

    t.test('of two concurrent requests one deletes the profile, and the other returns 404', async t => {
      const owner = await anOwner()
      const profile = await aProfile(database, owner)
      const answers = await Promise.all([remove(profile, owner), remove(profile, owner)])
      t.strictSame(answers.map(({ status }) => status).sort(), [200, 404])
    })
  })
}
