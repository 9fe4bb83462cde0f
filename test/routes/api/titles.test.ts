import t, { type Test } from 'tap'
import { aPlaylist } from '../../fixtures/lists.ts'
import { aPanelUser, textOf } from '../../fixtures/panel.ts'
import { aUser, PASSWORD, type TestUser } from '../../fixtures/users.ts'
import { get, send, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

const UNLIMITED = {
  ...{ RATE_LIMIT_AUTHENTICATED: '10000', RATE_LIMIT_ANONYMOUS: '10000', LOGIN_RATE_LIMIT: '1000' },
  ...{ USER_MAX_PLAYLISTS: '10000', USER_MAX_PROFILES: '10000', TOKENS_PER_USER: '10000' },
}
const REQUIRED = { name: ['The name field is required.'] }

const BLANK = [
  ...[
    '',
    ' ',
    '\u3164',
    '\u115f',
    '\u115f\u1160',
    '\uffa0',
    '\u17b4',
    '\u034f',
    '\ufe0f',
    '\u200b',
    '\u2800',
  ],
  ...[
    '\u0301',
    '\u00ad',
    '\u180e',
    '\u{1d173}',
    '\u{e0001}',
    '\u202e',
    '\u2069',
    '\ufffc',
    '\u200b\u0301\u3164',
  ],
]

const KEPT = ['👩🏽‍🚀 ❤️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣', 'می‌خواهم', 'ක්‍ෂ', '葛󠄀城', 'Ame\u0301lie']

/** Titles, and what becomes of them. */
const CHANGED: [typed: string, kept: string][] = [
  ['\u202eevil\u202c', 'evil'],
  ['so\u00adft \u200b', 'soft'],
  ['a\u200db\u{e0041}\ufe0f', 'ab'],
  [`${'x'.repeat(192)}\u200b\u200b`, 'x'.repeat(192)],
]

for (const engine of ENGINES) {
  t.test(`titles on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await lists(t, database)
    await onPanel(t, database)
  })
}

const request =
  (app: TestApp, { token }: TestUser) =>
  (method: string, url: string, payload: object) =>
    send(app, method, url, { headers: { authorization: `Bearer ${token}` }, payload })

async function lists(t: Test, database: TestDatabase) {
  const permissions = [
    'create playlist',
    'update playlist',
    'view playlist',
    'create external profile',
    'view external profile',
  ]
  for (const [what, method, url, rest, key] of [
    ['a new playlist', 'POST', '/api/playlist', { visibility: 'Public' }, 'playlist'],
    ['a playlist', 'PUT', '/api/playlist/{hashid}', {}, 'playlist'],
    ['a playlist', 'PATCH', '/api/playlist/{hashid}', {}, 'playlist'],
    [
      'an external profile',
      'POST',
      '/api/externalprofile',
      { site: 'Kitsu', visibility: 'Public' },
      'externalprofile',
    ],
    ['a new token', 'POST', '/api/me/token', {}, 'token'],
    ['a token', 'PATCH', '/api/me/token/{token}', {}, 'token'],
  ] as const) {
    await t.test(`of ${what}, by ${method}`, async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      const user = await aUser(database, { permissions })
      const { hashid } = await aPlaylist(database, user.id)
      const path = url.replace('{hashid}', hashid).replace('{token}', String(user.tokenId))
      const name = (text: string) => request(app, user)(method, path, { ...rest, name: text })
      for (const text of BLANK) {
        const answer = await name(text)
        t.equal(answer.status, 422, encodeURI(text))
        t.strictSame(answer.json.errors, REQUIRED, encodeURI(text))
      }
      for (const [typed, kept] of [...KEPT.map(text => [text, text] as const), ...CHANGED]) {
        const answer = await name(typed)
        t.ok(answer.status === 200 || answer.status === 201, encodeURI(typed))
        t.equal(answer.json[key].name, kept, encodeURI(typed))
      }
      t.equal((await name('\u200b'.repeat(20_000))).status, 422)
    })
  }

  await t.test('of what was named before stay', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const user = await aUser(database, { permissions })
    const { hashid } = await aPlaylist(database, user.id, { name: '\u3164' })
    const kept = await request(app, user)('PATCH', `/api/playlist/${hashid}`, { visibility: 'Unlisted' })
    t.equal(kept.status, 200)
    t.equal((await get(app, `/api/playlist/${hashid}`, user.token)).json.playlist.name, '\u3164')
  })
}

async function onPanel(t: Test, database: TestDatabase) {
  await t.test('of tokens on the panel', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const { user, browser } = await aPanelUser(app, database)
    const issue = async (name: string) =>
      browser.submit(await browser.open('/admin'), '/admin/tokens', {
        name,
        scope: 'ticked',
        current_password: PASSWORD,
      })
    const renaming = `/admin/tokens/${user.tokenId}`
    const rename = async (name: string) =>
      browser.submit(await browser.open(renaming), `${renaming}/rename`, { name })
    for (const text of ['\u3164', '\u200b', '\u0301', '\u2800']) {
      for (const answer of [await issue(text), await rename(text)]) {
        t.equal(answer.status, 422, encodeURI(text))
        t.match(textOf(answer), 'The name field is required.')
      }
    }
    t.match(textOf(await rename('\u202ere\u200bnamed')), 'renamed')
    const row = await database.kysely
      .selectFrom('personal_access_tokens')
      .select('name')
      .where('id', '=', user.tokenId)
      .executeTakeFirst()
    t.equal(row?.name, 'renamed')
  })
}
