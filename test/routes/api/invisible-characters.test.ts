import t from 'tap'
import { errorsOf } from '../../fixtures/answers.ts'
import { aPlaylist } from '../../fixtures/lists.ts'
import { aPanelUser, textOf } from '../../fixtures/panel.ts'
import { requestWith } from '../../fixtures/requests.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aUser, PASSWORD } from '../../fixtures/users.ts'
import { get, startApp } from '../../support/app.ts'
import { createDatabase, ENGINES } from '../../support/databases.ts'

const SETTINGS = {
  ...UNLIMITED,
  LOG_LEVEL: 'error',
  USER_MAX_PLAYLISTS: '10000',
  USER_MAX_PROFILES: '10000',
  TOKENS_PER_USER: '10000',
}
const REQUIRED = { name: ['The name field is required.'] }

const permissions = [
  'create playlist',
  'update playlist',
  'view playlist',
  'create external profile',
  'view external profile',
]

const INVISIBLE_NAMES = [
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
  ...['\u0301', '\u00ad', '\u180e', '\u{1d173}', '\u{e0001}', '\u202e', '\u2069', '\ufffc'],
  '\u200b\u0301\u3164',
]

/** Names that need their joiners, variation selectors and marks. */
const KEPT_NAMES = ['👩🏽‍🚀 ❤️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣', 'می‌خواهم', 'ක්‍ෂ', '葛󠄀城', 'Ame\u0301lie']

/** Names with invisible characters, and what is stored. */
const STRIPPED_NAMES = [
  ['\u202eevil\u202c', 'evil'],
  ['so\u00adft \u200b', 'soft'],
  ['a\u200db\u{e0041}\ufe0f', 'ab'],
  [`${'x'.repeat(192)}\u200b\u200b`, 'x'.repeat(192)],
] as const

const PROFILE = { site: 'Kitsu', visibility: 'Public' }

for (const engine of ENGINES) {
  t.test(`invisible characters in names on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: SETTINGS })

    for (const [method, path, rest, key] of [
      ['POST', '/api/playlist', { visibility: 'Public' }, 'playlist'],
      ['PUT', '/api/playlist/{playlist}', {}, 'playlist'],
      ['PATCH', '/api/playlist/{playlist}', {}, 'playlist'],
      ['POST', '/api/externalprofile', PROFILE, 'externalprofile'],
      ['POST', '/api/me/token', {}, 'token'],
      ['PATCH', '/api/me/token/{token}', {}, 'token'],
    ] as const) {
      const prepare = async () => {
        const user = await aUser(database, { permissions })
        const { hashid } = await aPlaylist(database, user.id)
        const url = path.replace('{playlist}', hashid).replace('{token}', String(user.tokenId))
        return (name: string) => requestWith(app, user.token)(method, url, { ...rest, name })
      }

      t.test(`${method} ${path}: a name without visible characters returns 422`, async t => {
        const submit = await prepare()
        for (const name of INVISIBLE_NAMES) {
          const answer = await submit(name)
          t.equal(answer.status, 422, encodeURI(name))
          t.strictSame(errorsOf(answer), REQUIRED, encodeURI(name))
        }
        t.equal((await submit('\u200b'.repeat(20_000))).status, 422, 'a long one')
      })

      t.test(
        `${method} ${path}: invisible characters are removed from a name unless it needs them`,
        async t => {
          const submit = await prepare()
          for (const [name, stored] of [
            ...KEPT_NAMES.map(name => [name, name] as const),
            ...STRIPPED_NAMES,
          ]) {
            const { status, json } = await submit(name)
            t.equal(status, method === 'POST' ? 201 : 200, encodeURI(name))
            t.equal(json[key].name, stored, encodeURI(name))
          }
        },
      )
    }

    t.test('an invisible name that is stored already stays when other fields change', async t => {
      const user = await aUser(database, { permissions })
      const { hashid } = await aPlaylist(database, user.id, { name: '\u3164' })
      const url = `/api/playlist/${hashid}`
      t.equal((await requestWith(app, user.token)('PATCH', url, { visibility: 'Unlisted' })).status, 200)
      t.equal((await get(app, url, user.token)).json.playlist.name, '\u3164')
    })

    t.test('the panel rejects invisible names of tokens, and removes invisible characters', async t => {
      const { user, browser } = await aPanelUser(app, database)
      const issue = async (name: string) =>
        browser.submit(await browser.open('/admin'), '/admin/tokens', {
          name,
          scope: 'ticked',
          current_password: PASSWORD,
        })
      const path = `/admin/tokens/${user.tokenId}`
      const rename = async (name: string) =>
        browser.submit(await browser.open(path), `${path}/rename`, { name })
      for (const name of ['\u3164', '\u200b', '\u0301', '\u2800']) {
        for (const answer of [await issue(name), await rename(name)]) {
          t.equal(answer.status, 422, encodeURI(name))
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
  })
}
