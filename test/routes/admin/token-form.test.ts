import t, { type Test } from 'tap'
import { ABILITIES } from '#src/auth/ability.ts'
import { DAY, MINUTE, NOW } from '../../fixtures/clock.ts'
import { aPanelUser, type PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aToken, PASSWORD } from '../../fixtures/users.ts'
import { get, send, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../support/databases.ts'

const READING = Object.keys(ABILITIES).filter(ability => ability.startsWith('read:'))

for (const engine of PRODUCTION_ENGINE) {
  t.test(`tokens on the panel, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await scopes(t, database)
    await ends(t, database)
    await descendants(t, database)
  })
}

const start = (t: Test, database: TestDatabase, environment = {}) =>
  startApp(t, { database, environment: { ...UNLIMITED, ...environment } })

async function onPanel(t: Test, database: TestDatabase, environment = {}) {
  const app = await start(t, database, environment)
  return { app, ...(await aPanelUser(app, database)) }
}

type Fields = Record<string, string | string[]>

const generate = async (browser: PanelBrowser, fields: Fields) =>
  browser.submit(await browser.open('/admin'), '/admin/tokens', {
    name: 'new',
    current_password: PASSWORD,
    ...fields,
  })

const secretIn = ({ text }: { text: string }) => /<code id="secret">([^<]+)</.exec(text)?.[1] ?? ''

/** The names and values of what is chosen or ticked in the form for a token. */
const chosenIn = ({ text }: { text: string }) =>
  [...text.matchAll(/<input type="(?:radio|checkbox)" name="([^"]+)" value="([^"]+)" checked/g)].map(
    ([, name, value]) => `${name}=${value}`,
  )

async function abilitiesOf(app: TestApp, issued: { text: string }) {
  const secret = secretIn(issued)
  const row = await app.database.kysely
    .selectFrom('personal_access_tokens')
    .select('abilities')
    .where('id', '=', Number(secret.split('|')[0]))
    .executeTakeFirstOrThrow()
  return JSON.parse(row.abilities ?? 'null')
}

async function scopes(t: Test, database: TestDatabase) {
  await t.test('a form as it is opened gives nothing', async t => {
    const { app, browser } = await onPanel(t, database)
    const page = await browser.open('/admin')
    t.strictSame(chosenIn(page), ['scope=some'])
    const issued = await generate(browser, { scope: 'some' })
    t.equal(issued.status, 201)
    t.strictSame(await abilitiesOf(app, issued), [])
    t.match(textOf(issued), /Allows nothing but to tell who you are/)
    t.equal((await get(app, '/api/me', secretIn(issued))).status, 200)
    t.equal((await get(app, '/api/me/playlist', secretIn(issued))).status, 403)
  })

  await t.test('each choice gives what it says', async t => {
    const { app, browser } = await onPanel(t, database)
    for (const [fields, abilities] of [
      [{ scope: 'read' }, READING],
      [{ scope: 'playlists' }, ['read:playlist', 'write:playlist']],
      [{ scope: 'some', 'abilities[]': ['write:notification'] }, ['write:notification']],
      [{ scope: 'all' }, ['*']],
    ] as [Fields, string[]][]) {
      const issued = await generate(browser, fields)
      t.equal(issued.status, 201)
      t.strictSame(await abilitiesOf(app, issued), abilities, String(fields.scope))
      t.match(textOf(issued), abilities[0] === '*' ? 'everything that you may do' : abilities.join(' '))
    }
  })

  await t.test('what contradicts itself issues nothing, and loses nothing', async t => {
    const { app, browser, user } = await onPanel(t, database)
    for (const scope of ['read', 'playlists', 'all']) {
      const answer = await generate(browser, {
        name: 'my <laptop>',
        scope,
        'abilities[]': ['read:me', 'write:token'],
        allowed_ips: '192.0.2.0/24',
        expires_at: '2026-12-31',
      })
      t.equal(answer.status, 422, scope)
      t.match(textOf(answer), /Abilities are ticked, and another choice .* Make that choice, or untick them/)
      t.strictSame(chosenIn(answer).sort(), [
        'abilities[]=read:me',
        'abilities[]=write:token',
        `scope=${scope}`,
      ])
      for (const kept of ['my &lt;laptop>', '192.0.2.0/24', '2026-12-31']) t.match(answer.text, kept)
      t.notMatch(answer.text, PASSWORD)
    }
    t.equal((await get(app, '/api/me/token', user.token)).json.tokens.length, 1)
  })

  await t.test('what makes no choice issues nothing', async t => {
    const { app, browser, user } = await onPanel(t, database)
    for (const [fields, sentence] of [
      [{}, 'The scope field is required.'],
      [{ scope: '' }, 'The scope field is required.'],
      [{ 'abilities[]': ['read:me'] }, 'The scope field is required.'],
      [{ scope: 'none' }, 'The selected scope is invalid.'],
      [{ scope: 'constructor' }, 'The selected scope is invalid.'],
      [{ 'scope[]': ['all'] }, 'The selected scope is invalid.'],
    ] as [Fields, string][]) {
      const answer = await generate(browser, fields)
      t.equal(answer.status, 422, JSON.stringify(fields))
      t.match(textOf(answer), sentence)
    }
    t.equal((await get(app, '/api/me/token', user.token)).json.tokens.length, 1)
  })
}

async function ends(t: Test, database: TestDatabase) {
  await t.test('the page of a new token says what it allows, from where, and until when', async t => {
    const { browser } = await onPanel(t, database, { SANCTUM_EXPIRATION: String(30 * 24 * 60) })
    const fields = { scope: 'playlists', allowed_ips: '192.0.2.0/24', expires_at: '2027-12-31' }
    const issued = await generate(browser, fields)
    t.match(
      textOf(issued),
      /Allows read:playlist write:playlist From 192\.0\.2\.0\/24 Ends 2026-03-31 12:00 UTC/,
      'and not the date of its own, which comes later',
    )
    const id = secretIn(issued).split('|')[0]
    const again = await browser.submit(
      await browser.open(`/admin/tokens/${id}`),
      `/admin/tokens/${id}/rotate`,
    )
    t.match(textOf(again), /Allows read:playlist write:playlist From 192\.0\.2\.0\/24 Ends 2026-03-31/)
  })

  for (const [environment, expiresAt, says] of [
    [{ SANCTUM_EXPIRATION: 'null' }, null, /Ends:? never/],
    [{ SANCTUM_EXPIRATION: 'null' }, NOW + 100 * DAY, /Ends:? 2026-06-09 12:00 UTC(?! if)/],
    [{ SANCTUM_EXPIRATION: String(50 * 24 * 60) }, null, /Ends:? 2026-04-20 12:00 UTC(?! if)/],
    [{ SANCTUM_EXPIRATION: String(50 * 24 * 60) }, NOW + 100 * DAY, /Ends:? 2026-04-20 12:00 UTC(?! if)/],
    [
      { SANCTUM_EXPIRATION: 'null', SANCTUM_IDLE_EXPIRATION: String(20 * 24 * 60) },
      null,
      /Ends:? 2026-03-21 12:00 UTC if it is not used before/,
    ],
    [
      { SANCTUM_IDLE_EXPIRATION: String(20 * 24 * 60) },
      NOW + 5 * DAY,
      /Ends:? 2026-03-06 12:00 UTC ends soon/,
    ],
  ] as [Record<string, string>, number | null, RegExp][]) {
    const name = `${JSON.stringify(environment)} and ${expiresAt === null ? 'no date' : 'a date'}`
    await t.test(`lists and pages say when a token ends, with ${name}`, async t => {
      const { browser, user } = await onPanel(t, database, environment)
      await database.kysely.deleteFrom('personal_access_tokens').where('id', '=', user.tokenId).execute()
      const { tokenId } = await aToken(database, user.id, { expiresAt })
      t.match(textOf(await browser.open('/admin')), says)
      t.match(textOf(await browser.open(`/admin/tokens/${tokenId}`)), says)
    })
  }

  await t.test('what is over, or soon will be, is marked', async t => {
    const { app, browser, user } = await onPanel(t, database)
    for (const [expiresAt, mark] of [
      [NOW - MINUTE, 'expired'],
      [NOW + 14 * DAY, 'ends soon'],
      [NOW + 14 * DAY + MINUTE, null],
    ] as const) {
      const { tokenId } = await aToken(database, user.id, { expiresAt })
      const page = textOf(await browser.open(`/admin/tokens/${tokenId}`))
      const row = new RegExp(`tokens/${tokenId}">.*?</li>`, 's').exec((await browser.open('/admin')).text)
      for (const text of [page, row?.[0] ?? '']) {
        for (const one of ['expired', 'ends soon']) t.equal(text.includes(one), one === mark, String(mark))
      }
    }
    const odd = await aToken(database, user.id)
    await database.kysely
      .updateTable('personal_access_tokens')
      .set({ expires_at: '-infinity' })
      .where('id', '=', odd.tokenId)
      .execute()
    t.match(textOf(await browser.open(`/admin/tokens/${odd.tokenId}`)), /cannot be read expired/)
    t.equal((await get(app, '/api/me', odd.token)).status, 401)
  })

  await t.test('the form says when a token ends that is given no date', async t => {
    for (const [environment, says] of [
      [{ SANCTUM_EXPIRATION: 'null' }, 'Left empty, it never ends.'],
      [{ SANCTUM_EXPIRATION: '1440' }, 'Left empty, it ends on 2026-03-02.'],
      [{ SANCTUM_IDLE_EXPIRATION: '2880' }, 'Left empty, it ends on 2026-03-03 if it is not used before.'],
    ] as [Record<string, string>, string][]) {
      const { browser } = await onPanel(t, database, environment)
      t.match(textOf(await browser.open('/admin')), says)
    }
  })
}

async function descendants(t: Test, database: TestDatabase) {
  await t.test('revoking a token names those that end with it', async t => {
    const { app, browser, user } = await onPanel(t, database)
    const issue = async (name: string, token: string): Promise<string> => {
      const headers = { authorization: `Bearer ${token}` }
      const issued = await send(app, 'POST', '/api/me/token', { headers, payload: { name } })
      return issued.json.plain_text_token
    }
    const child = await issue('a <child>', user.token)
    const grandchild = await issue('a grandchild', child)
    const action = `/admin/tokens/${user.tokenId}/revoke`
    const question = await browser.submit(await browser.open('/admin'), action)
    t.match(
      textOf(question),
      /3 tokens end at once: this one, .*: a <child> \(begins with \d+\|\) a grandchild .* Revoke 3 tokens/,
    )
    await browser.submit(question, action)
    for (const token of [user.token, child, grandchild]) {
      t.equal((await get(app, '/api/me', token)).status, 401)
    }
  })
}
