import t from 'tap'
import { SPA } from '../../fixtures/browser.ts'
import { aPanelUser, formsOf, PanelBrowser } from '../../fixtures/panel.ts'
import { startUnlimited } from '../../fixtures/server.ts'
import { aMember, aUser, PASSWORD, type TestUser } from '../../fixtures/users.ts'
import { createDatabase, type TestDatabase } from '../../support/databases.ts'

/** The actions and hidden fields of all forms that an administrator sees. */
async function allForms(browser: PanelBrowser, { tokenId }: TestUser, { id }: TestUser) {
  const paths = ['/admin', `/admin/tokens/${tokenId}`, '/admin/devices', '/admin/password']
  const pages = [...paths, `/admin/users/${id}`, '/admin/roles/1']
  const found = new Map<string, Record<string, string>>()
  for (const path of pages) {
    for (const { action, hidden } of formsOf(await browser.open(path))) found.set(action ?? '', hidden)
  }
  return found
}

/** All rows that a form of the panel can change, as text. */
const readChangeableRows = async ({ kysely }: TestDatabase) => {
  const tables = [
    'personal_access_tokens',
    'users',
    'model_has_roles',
    'role_has_permissions',
    'model_sanctions',
    'model_prohibitions',
    'notifications',
  ] as const
  const rows = []
  for (const table of tables) rows.push(await kysely.selectFrom(table).selectAll().execute())
  const sessions = await kysely
    .selectFrom('sessions')
    .select(['id'])
    .where('user_id', 'is not', null)
    .execute()
  return JSON.stringify([rows, sessions.map(({ id }) => id).sort()])
}

t.test('CSRF protection of the panel', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const app = await startUnlimited(t, database)

  await t.test(
    'a form without the CSRF token of its session, or from another site, changes nothing',
    async t => {
      const { browser, user } = await aPanelUser(app, database, { roles: ['Admin'] })
      const other = await aUser(database, { verified: false })
      await new PanelBrowser(app).logIn(user)
      const forms = await allForms(browser, user, other)
      t.ok(forms.size >= 14, `${forms.size} forms`)
      const guest = new PanelBrowser(app)
      const foreignToken = formsOf(await guest.open('/admin/login'))[0]?.hidden._token ?? ''
      const before = await readChangeableRows(database)

      for (const [action, { _token: own = '', ...hidden }] of forms) {
        const fields = {
          ...hidden,
          current_password: PASSWORD,
          name: 'x',
          scope: 'all',
          ban: 'everything',
          permanent: '1',
          confirmed: '1',
        }
        for (const _token of ['', foreignToken, `${own.slice(0, -1)}x`]) {
          const answer = await browser.clone().post(action, { ...fields, ...(_token && { _token }) })
          t.equal(answer.status, 419, `${action} with ${_token === '' ? 'no token' : 'another token'}`)
        }
        for (const [name, page] of Object.entries<Record<string, string>>({
          'another site': { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
          'a sibling domain': { origin: 'http://evil.localhost', 'sec-fetch-site': 'same-site' },
          'the SPA': { origin: SPA, 'sec-fetch-site': 'same-site', referer: `${SPA}/` },
          'the SPA in an old browser': { origin: SPA },
          'a page with an opaque origin': { origin: 'null' },
        })) {
          const answer = await browser.clone().post(action, { ...fields, _token: own }, { headers: page })
          t.equal(answer.status, 403, `${action} from ${name}, with the right CSRF token`)
        }
      }
      t.equal(await readChangeableRows(database), before, 'nothing has changed')
      const answer = await browser.submit(await browser.open('/admin'), '/admin/tokens', {
        name: 'x',
        scope: 'all',
        current_password: PASSWORD,
      })
      t.equal(answer.status, 201, 'the same form from the panel itself succeeds')
    },
  )

  await t.test('without Sec-Fetch-Site, the Origin header decides whether a form is accepted', async t => {
    const app = await startUnlimited(t, database, { APP_URL: 'http://accounts.example' })
    const { browser, user } = await aPanelUser(app, database)
    const page = await browser.open(`/admin/tokens/${user.tokenId}`)
    for (const [origin, status] of [
      ['http://accounts.example', 303],
      ['http://accounts.internal:3000', 303],
      ['http://accounts.internal', 403],
      ['http://accounts.example.evil.example', 403],
      ['https://evil.example', 403],
      [SPA, 403],
      ['null', 403],
    ] as [string, number][]) {
      // As behind a proxy that rewrites the Host header.
      const headers = { host: 'accounts.internal:3000', origin }
      const answer = await browser.sendForm(
        page,
        `/admin/tokens/${user.tokenId}/rename`,
        { name: 'x' },
        headers,
      )
      t.equal(answer.status, status, origin)
    }
  })

  await t.test('a login form without a CSRF token logs in no browser (login CSRF)', async t => {
    const user = await aMember(database)
    const browser = new PanelBrowser(app)
    await browser.open('/admin/login')
    const answer = await browser.post('/admin/login', { email: user.email, password: PASSWORD })
    t.equal(answer.status, 419)
    t.equal((await browser.bare('GET', '/admin')).status, 303)
  })

  await t.test('another origin cannot read pages of the panel (no CORS headers)', async t => {
    const { browser } = await aPanelUser(app, database)
    for (const path of ['/admin', '/admin/nothing']) {
      const answer = await browser.bare('GET', path, { headers: { origin: SPA, referer: `${SPA}/` } })
      t.equal(answer.headers['access-control-allow-origin'], undefined, path)
      t.equal(answer.headers['access-control-allow-credentials'], undefined)
    }
  })
})
