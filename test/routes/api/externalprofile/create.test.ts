import t from 'tap'
import { errorsOf, invalidFieldsOf, UNAUTHENTICATED, UNAUTHORIZED } from '../../../fixtures/answers.ts'
import {
  aProfile,
  BYPASS,
  BYPASS_FEATURES,
  CREATE_PROFILE,
  call,
  checkAnswer,
  countRows,
  DELETE_PROFILE,
  NEW_PROFILE,
  PROFILE_PATH,
  PROFILE_VISIBILITIES,
  type ProfileRequest,
  profileRow,
  quotaExceeded,
  SITES,
  UPDATE_PROFILE,
  VIEW_PROFILE,
} from '../../../fixtures/external-profiles.ts'
import {
  PLAYLIST_FEATURE,
  PROFILE_FEATURE,
  setFeature,
  whileFeatureIsOff,
} from '../../../fixtures/features.ts'
import { startHttpService } from '../../../fixtures/http-service.ts'
import { FORM, JSON_TYPE } from '../../../fixtures/requests.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import { databaseTime } from '../../../fixtures/timestamps.ts'
import { aUser, type TestUser, USER_TYPE } from '../../../fixtures/users.ts'
import { createDatabase, ENGINES } from '../../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`creating external profiles on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database)
    const create = (caller: TestUser | null, payload?: string | object, to = app) =>
      call(to, 'POST', PROFILE_PATH, caller, { payload })
    const countOf = ({ id }: TestUser) => countRows(database, 'external_profiles', 'user_id', id)

    t.test('a new profile belongs to the caller, and unknown fields are ignored', async t => {
      const user = await aUser(database, { permissions: [CREATE_PROFILE] })
      const other = await aUser(database)
      const ignored = { user_id: other.id, id: 1, synced_at: '2020-01-01' }
      const { status, json } = await create(user, { ...NEW_PROFILE, ...ignored })
      t.equal(status, 201)
      const { id } = json.externalprofile
      t.strictSame(json, { externalprofile: { id, ...NEW_PROFILE } })
      const rows = await database.kysely
        .selectFrom('external_profiles')
        .selectAll()
        .where('user_id', 'in', [user.id, other.id])
        .execute()
      const at = databaseTime(app.clock())
      t.strictSame(rows, [
        {
          ...{ profile_id: id, name: 'alice', site: 1, visibility: 1, user_id: user.id },
          ...{ created_at: at, updated_at: at, synced_at: null, external_user_id: null },
        },
      ])
      t.equal((await create(user, NEW_PROFILE)).status, 201, 'a second profile of the same name')
    })

    t.test('a guest gets 401', async t => {
      checkAnswer(t, await create(null, NEW_PROFILE), 401, UNAUTHENTICATED)
      checkAnswer(t, await create(null, {}), 401, UNAUTHENTICATED, 'with invalid input')
    })

    t.test('a user without the permission gets 403, also with invalid input', async t => {
      const powerless = await aUser(database, { permissions: [VIEW_PROFILE, UPDATE_PROFILE, DELETE_PROFILE] })
      for (const payload of [NEW_PROFILE, {}]) {
        const answer = await create(powerless, payload)
        checkAnswer(t, answer, 403, UNAUTHORIZED, JSON.stringify(payload))
      }
      t.equal(await countOf(powerless), 0, 'nothing is created')
    })

    t.test('a feature that is off returns 403, also with invalid input', async t => {
      const user = await aUser(database, { permissions: [CREATE_PROFILE] })
      await whileFeatureIsOff(database, PROFILE_FEATURE, async () => {
        for (const payload of [NEW_PROFILE, {}]) {
          const answer = await create(user, payload)
          checkAnswer(t, answer, 403, UNAUTHORIZED, JSON.stringify(payload))
        }
      })
      t.equal(await countOf(user), 0, 'nothing is created')
    })

    t.test('each request reads the flag of the feature', async t => {
      t.teardown(() => setFeature(database, PROFILE_FEATURE, null))
      const user = await aUser(database, { permissions: [CREATE_PROFILE] })
      const exempt = await aUser(database, { permissions: [CREATE_PROFILE, BYPASS_FEATURES] })
      const bypass = await aUser(database, { permissions: [BYPASS] })
      for (const [value, expected] of [
        [null, 201],
        [false, 403],
        [true, 201],
        [false, 403],
        [null, 201],
      ] as const) {
        await setFeature(database, PROFILE_FEATURE, value)
        t.equal((await create(user, NEW_PROFILE)).status, expected, `flag ${value}`)
        t.equal((await create(exempt, NEW_PROFILE)).status, 201, `flag ${value}, bypass of features`)
        t.equal(
          (await create(bypass, NEW_PROFILE)).status,
          expected,
          `flag ${value}, bypass of authorization`,
        )
      }
    })

    t.test('flags of a user and of another feature are ignored', async t => {
      const user = await aUser(database, { permissions: [CREATE_PROFILE] })
      const scope = `${USER_TYPE}|${user.id}`
      t.teardown(() => setFeature(database, PROFILE_FEATURE, null, scope))
      t.teardown(() => setFeature(database, PLAYLIST_FEATURE, null))
      await setFeature(database, PROFILE_FEATURE, false, scope)
      await setFeature(database, PLAYLIST_FEATURE, false)
      t.equal((await create(user, NEW_PROFILE)).status, 201)
    })

    t.test('name, site and visibility are required', async t => {
      const user = await aUser(database, { permissions: [CREATE_PROFILE] })
      const expected = {
        message: 'The name field is required. (and 2 more errors)',
        errors: {
          name: ['The name field is required.'],
          site: ['The site field is required.'],
          visibility: ['The visibility field is required.'],
        },
      }
      checkAnswer(t, await create(user), 422, expected)
    })

    /** Adds a user without a quota, and returns functions that create a profile with one change of the valid input. */
    async function anUnlimitedCreator() {
      const user = await aUser(database, { permissions: [CREATE_PROFILE, BYPASS_FEATURES] })
      const send = (change: object) => create(user, { ...NEW_PROFILE, ...change })
      const created = async (change: object) => (await send(change)).json.externalprofile
      const errors = async (change: object) => errorsOf(await send(change))
      return { user, send, created, errors }
    }

    for (const [field, labels] of [
      ['site', SITES],
      ['visibility', PROFILE_VISIBILITIES],
    ] as const) {
      t.test(`${field} is accepted as a label in any case or as a number`, async t => {
        const { created, send, errors } = await anUnlimitedCreator()
        for (const [number, label] of labels.entries()) {
          const cases = [label, label.toLowerCase(), label.toUpperCase(), ` ${label} `]
          for (const input of [...cases, number, `${number}`])
            t.equal((await created({ [field]: input }))?.[field], label, JSON.stringify(input))
        }
        const selected = { [field]: [`The selected ${field} is invalid.`] }
        for (const input of [labels.length, `${labels.length}`, -1, '-1', 1.5, 'Unlisted', 'x', '__proto__'])
          t.strictSame(await errors({ [field]: input }), selected, JSON.stringify(input))
        const required = { [field]: [`The ${field} field is required.`] }
        for (const input of [null, '', ' '])
          t.strictSame(await errors({ [field]: input }), required, JSON.stringify(input))
        for (const input of [[0], ['AniList'], {}, { label: 'Public' }])
          t.strictSame(invalidFieldsOf(await send({ [field]: input })), [field], JSON.stringify(input))
      })
    }

    t.test('a name is trimmed and up to 192 characters long', async t => {
      const { created, send, errors } = await anUnlimitedCreator()
      for (const name of ['x'.repeat(192), '😀'.repeat(192), ' älice ', "<b>'\\;--"])
        t.equal((await created({ name }))?.name, name.trim(), name.slice(0, 12))
      for (const [name, message] of [
        ['x'.repeat(193), 'The name must not be greater than 192 characters.'],
        ['😀'.repeat(193), 'The name must not be greater than 192 characters.'],
        [7, 'The name must be a string.'],
        [['x'], 'The name must be a string.'],
        [null, 'The name field is required.'],
        ['', 'The name field is required.'],
        ['  ', 'The name field is required.'],
      ]) {
        t.strictSame(await errors({ name }), { name: [message] }, JSON.stringify(name).slice(0, 12))
      }
      t.strictSame(invalidFieldsOf(await send({ name: 'a\0b' })), ['name'], 'a NUL')
    })

    t.test('all invalid fields are reported at once', async t => {
      const { send } = await anUnlimitedCreator()
      const answer = await send({ name: 1, site: 'x', visibility: null })
      t.strictSame(invalidFieldsOf(answer), ['name', 'site', 'visibility'])
    })

    t.test('parameters are read from body and query string, and the body takes precedence', async t => {
      const { user } = await anUnlimitedCreator()
      const values = { name: 'al ice', site: 'kitsu', visibility: '0' }
      const text = 'name=al ice&site=kitsu&visibility=0'
      const other = 'name=bob&site=anilist&visibility=private'
      const ignored = 'include=user&fields[externalprofile]=id&filter[x]=1&page[size]=0&q=&user_id=1'
      for (const [label, request] of [
        ['the query string', { query: text }],
        ['the query string with an empty body', { query: text, payload: '', headers: JSON_TYPE }],
        ['a form', { payload: text, headers: FORM }],
        ['query string and body', { query: 'name=al ice&site=kitsu', payload: { visibility: 'public' } }],
        ['all fields in both', { query: other, payload: values }],
        ['all fields in query string and form', { query: other, payload: text, headers: FORM }],
        ['parameters of a list are ignored', { query: `${text}&${ignored}` }],
      ] as [string, ProfileRequest][]) {
        const { status, json } = await call(app, 'POST', PROFILE_PATH, user, request)
        t.equal(status, 201, label)
        const id = json.externalprofile?.id
        const expected = { id, name: 'al ice', site: 'Kitsu', visibility: 'Public' }
        t.strictSame(json, { externalprofile: expected }, label)
        t.equal((await profileRow(database, id))?.user_id, user.id, label)
      }
      const invalid = await call(app, 'POST', PROFILE_PATH, user, { query: 'name=x&site=x&visibility=0' })
      t.strictSame(errorsOf(invalid), { site: ['The selected site is invalid.'] })
    })

    t.test('the moderation service is not asked about names of profiles', async t => {
      let requests = 0
      let verdict: [status: number, body: object] = [404, {}]
      const MODERATION_URL = await startHttpService(t, (_, response) => {
        requests += 1
        response.writeHead(verdict[0]).end(JSON.stringify(verdict[1]))
      })
      const moderated = await startUnlimited(t, database, { MODERATION_URL, MODERATION_TOKEN: 'a-token' })
      const user = await aUser(database, { permissions: [CREATE_PROFILE] })
      for (const [label, answer] of [
        ['it would accept the name', [200, { results: [{ flagged: false }] }]],
        ['it would fail', [404, {}]],
        ['it would refuse the name', [200, { results: [{ flagged: true }] }]],
      ] as [string, [number, object]][]) {
        verdict = answer
        t.equal((await create(user, NEW_PROFILE, moderated)).status, 201, label)
      }
      t.equal(await countOf(user), 3)
      t.equal(requests, 0)
    })

    /** Adds a user with the permission to create and five profiles, which are as many as the default quota. */
    async function aUserWithFiveProfiles(permissions: string[]) {
      const user = await aUser(database, { permissions })
      for (let i = 0; i < 5; i += 1) await aProfile(database, user, { visibility: i % 2 })
      return user
    }

    t.test('a sixth profile returns 403, also with invalid input', async t => {
      const user = await aUserWithFiveProfiles([CREATE_PROFILE])
      for (const payload of [NEW_PROFILE, {}]) {
        const answer = await create(user, payload)
        checkAnswer(t, answer, 403, quotaExceeded(5), JSON.stringify(payload))
      }
      t.equal(await countOf(user), 5)
      await whileFeatureIsOff(database, PROFILE_FEATURE, async () => {
        t.strictSame(
          (await create(user, NEW_PROFILE)).json,
          UNAUTHORIZED,
          'a feature that is off comes first',
        )
      })
      const other = await aUser(database, { permissions: [CREATE_PROFILE] })
      t.equal((await create(other, NEW_PROFILE)).status, 201, 'profiles of another user do not count')
    })

    t.test('after a deletion the user can create another profile', async t => {
      const user = await aUserWithFiveProfiles([CREATE_PROFILE, DELETE_PROFILE])
      const profile = await database.kysely
        .selectFrom('external_profiles')
        .select('profile_id')
        .where('user_id', '=', user.id)
        .executeTakeFirstOrThrow()
      t.equal((await call(app, 'DELETE', `${PROFILE_PATH}/${profile.profile_id}`, user)).status, 200)
      t.equal((await create(user, NEW_PROFILE)).status, 201)
    })

    t.test('the bypass of features ignores the quota, the bypass of authorization does not', async t => {
      const exempt = await aUserWithFiveProfiles([CREATE_PROFILE, BYPASS_FEATURES])
      t.equal((await create(exempt, NEW_PROFILE)).status, 201)
      const bypass = await aUserWithFiveProfiles([BYPASS])
      t.strictSame((await create(bypass, NEW_PROFILE)).json, quotaExceeded(5))
    })

    t.test('USER_MAX_PROFILES sets the quota', async t => {
      const server = await startUnlimited(t, database, { USER_MAX_PROFILES: '2' })
      const user = await aUser(database, { permissions: [CREATE_PROFILE] })
      await aProfile(database, user)
      t.equal((await create(user, NEW_PROFILE, server)).status, 201)
      t.strictSame((await create(user, NEW_PROFILE, server)).json, quotaExceeded(2))
    })

    t.test('ten concurrent requests do not exceed the quota', async t => {
      const user = await aUser(database, { permissions: [CREATE_PROFILE] })
      const tenTimes = <T>(work: () => Promise<T>) => Promise.all(Array.from({ length: 10 }, work))
      // Opens the connections first, as waiting for them would serialize the requests.
      await tenTimes(() => profileRow(database, 0))
      const answers = await tenTimes(() => create(user, NEW_PROFILE))
      const refused = answers.filter(({ status }) => status !== 201)
      t.strictSame(
        refused.map(({ json }) => json),
        Array(5).fill(quotaExceeded(5)),
      )
      t.equal(await countOf(user), 5)
    })
  })
}
