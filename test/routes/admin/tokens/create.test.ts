import t, { type Test } from 'tap'
import { ABILITIES } from '#src/auth/ability.ts'
import { DAY, MINUTE, NOW } from '../../../fixtures/clock.ts'
import { aPanelUser, type PanelBrowser, textOf } from '../../../fixtures/panel.ts'
import { startUnlimited } from '../../../fixtures/server.ts'
import { aToken, PASSWORD } from '../../../fixtures/users.ts'
import { get, type TestApp } from '../../../support/app.ts'
import { createDatabase, ENGINES, PRODUCTION_ENGINE, type TestDatabase } from '../../../support/databases.ts'

const READ_ABILITIES = Object.keys(ABILITIES).filter(ability => ability.startsWith('read:'))

async function startWithUser(t: Test, database: TestDatabase, environment = {}) {
  const app = await startUnlimited(t, database, environment)
  return { app, ...(await aPanelUser(app, database)) }
}

type Fields = Record<string, string | string[]>

const createToken = async (browser: PanelBrowser, fields: Fields) =>
  browser.submit(await browser.open('/admin'), '/admin/tokens', {
    name: 'new',
    current_password: PASSWORD,
    ...fields,
  })

const secretIn = ({ text }: { text: string }) => /<code id="secret">([^<]+)</.exec(text)?.[1] ?? ''

/** The names and values of the checked inputs of the token form. */
const checkedIn = ({ text }: { text: string }) =>
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

for (const engine of ENGINES) {
  t.test(`validation of the token form on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test('invalid fields are 422 and create no token', async t => {
      const app = await startUnlimited(t, database, { TOKENS_PER_USER: '1' })
      const { browser, user } = await aPanelUser(app, database)
      const valid = { name: 'x', scope: 'all', current_password: PASSWORD }
      for (const [fields, sentence] of [
        [{ name: '' }, 'The name field is required.'],
        [{ name: 'x'.repeat(256) }, 'The name must not be greater than 255 characters.'],
        [{ name: 'a\0b' }, 'The selected name is invalid.'],
        [{ scope: 'none' }, 'The selected scope is invalid.'],
        [{ expires_at: '2020-01-01' }, 'The expires at must be a date after now.'],
        [{ expires_at: 'tomorrow' }, 'The expires at must be a date such as'],
        [{ allowed_ips: 'home' }, 'The allowed ips must be addresses'],
        [{ allowed_ips: ',', name: '' }, 'The name field is required.'],
        [{ allowed_ips: '127.0.0.1 '.repeat(51) }, 'The allowed ips must not have more than 50 items.'],
        [{ expires_at: '+275760-09-13' }, 'The expires at must be a date such as'],
        [{ expires_at: '9999-12-31\0' }, 'The expires at must be a date such as'],
      ] as [Record<string, string>, string][]) {
        const answer = await browser.submit(await browser.open('/admin'), '/admin/tokens', {
          ...valid,
          ...fields,
        })
        t.equal(answer.status, 422, JSON.stringify(fields))
        t.match(textOf(answer), sentence)
      }
      const fifty = '127.0.0.1 '.repeat(50)
      const many = await browser.submit(await browser.open('/admin'), '/admin/tokens', {
        ...valid,
        allowed_ips: fifty,
      })
      t.equal(many.status, 403)
      t.match(textOf(many), 'You may not have more than 1 tokens.')
      t.equal((await get(app, '/api/me/token', user.token)).json.tokens.length, 1)
    })
  })
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`the token form on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test('the default scope grants no abilities', async t => {
      const { app, browser } = await startWithUser(t, database)
      const page = await browser.open('/admin')
      t.strictSame(checkedIn(page), ['scope=some'])
      const issued = await createToken(browser, { scope: 'some' })
      t.equal(issued.status, 201)
      t.strictSame(await abilitiesOf(app, issued), [])
      t.match(textOf(issued), /Abilities none \(identifies you only\)/)
      t.equal((await get(app, '/api/me', secretIn(issued))).status, 200)
      t.equal((await get(app, '/api/me/playlist', secretIn(issued))).status, 403)
    })

    await t.test('each scope grants its abilities', async t => {
      const { app, browser } = await startWithUser(t, database)
      for (const [fields, abilities] of [
        [{ scope: 'read' }, READ_ABILITIES],
        [{ scope: 'playlists' }, ['read:playlist', 'write:playlist']],
        [{ scope: 'some', 'abilities[]': ['write:notification'] }, ['write:notification']],
        [{ scope: 'all' }, ['*']],
      ] as [Fields, string[]][]) {
        const issued = await createToken(browser, fields)
        t.equal(issued.status, 201)
        t.strictSame(await abilitiesOf(app, issued), abilities, String(fields.scope))
        t.match(textOf(issued), abilities[0] === '*' ? 'full access' : abilities.join(' '))
      }
    })

    await t.test('a scope together with single abilities is 422 and keeps the input', async t => {
      const { app, browser, user } = await startWithUser(t, database)
      for (const scope of ['read', 'playlists', 'all']) {
        const answer = await createToken(browser, {
          name: 'my <laptop>',
          scope,
          'abilities[]': ['read:me', 'write:token'],
          allowed_ips: '192.0.2.0/24',
          expires_at: '2026-12-31',
        })
        t.equal(answer.status, 422, scope)
        t.match(textOf(answer), /Abilities are ticked, but .* untick the abilities/)
        t.strictSame(checkedIn(answer).sort(), [
          'abilities[]=read:me',
          'abilities[]=write:token',
          `scope=${scope}`,
        ])
        for (const kept of ['my &lt;laptop>', '192.0.2.0/24', '2026-12-31']) t.match(answer.text, kept)
        t.notMatch(answer.text, PASSWORD)
      }
      t.equal((await get(app, '/api/me/token', user.token)).json.tokens.length, 1)
    })

    await t.test('a missing or unknown scope is 422 and creates no token', async t => {
      const { app, browser, user } = await startWithUser(t, database)
      for (const [fields, sentence] of [
        [{}, 'The scope field is required.'],
        [{ scope: '' }, 'The scope field is required.'],
        [{ 'abilities[]': ['read:me'] }, 'The scope field is required.'],
        [{ scope: 'none' }, 'The selected scope is invalid.'],
        [{ scope: 'constructor' }, 'The selected scope is invalid.'],
        [{ 'scope[]': ['all'] }, 'The selected scope is invalid.'],
      ] as [Fields, string][]) {
        const answer = await createToken(browser, fields)
        t.equal(answer.status, 422, JSON.stringify(fields))
        t.match(textOf(answer), sentence)
      }
      t.equal((await get(app, '/api/me/token', user.token)).json.tokens.length, 1)
    })

    await t.test('the page of a new token shows its abilities, addresses and expiry', async t => {
      const { browser } = await startWithUser(t, database, { SANCTUM_EXPIRATION: String(30 * 24 * 60) })
      const fields = { scope: 'playlists', allowed_ips: '192.0.2.0/24', expires_at: '2027-12-31' }
      const issued = await createToken(browser, fields)
      t.match(
        textOf(issued),
        /Abilities read:playlist write:playlist Allowed addresses 192\.0\.2\.0\/24 Expires 2026-03-31 12:00 UTC/,
        'the earlier of both limits',
      )
      const id = secretIn(issued).split('|')[0]
      const again = await browser.submit(
        await browser.open(`/admin/tokens/${id}`),
        `/admin/tokens/${id}/rotate`,
      )
      t.match(
        textOf(again),
        /Abilities read:playlist write:playlist Allowed addresses 192\.0\.2\.0\/24 Expires 2026-03-31/,
      )
    })

    for (const [environment, expiresAt, says] of [
      [{ SANCTUM_EXPIRATION: 'null' }, null, /Expires:? never/],
      [{ SANCTUM_EXPIRATION: 'null' }, NOW + 100 * DAY, /Expires:? 2026-06-09 12:00 UTC(?! if)/],
      [{ SANCTUM_EXPIRATION: String(50 * 24 * 60) }, null, /Expires:? 2026-04-20 12:00 UTC(?! if)/],
      [
        { SANCTUM_EXPIRATION: String(50 * 24 * 60) },
        NOW + 100 * DAY,
        /Expires:? 2026-04-20 12:00 UTC(?! if)/,
      ],
      [
        { SANCTUM_EXPIRATION: 'null', SANCTUM_IDLE_EXPIRATION: String(20 * 24 * 60) },
        null,
        /Expires:? 2026-03-21 12:00 UTC unless used before/,
      ],
      [
        { SANCTUM_IDLE_EXPIRATION: String(20 * 24 * 60) },
        NOW + 5 * DAY,
        /Expires:? 2026-03-06 12:00 UTC expires soon/,
      ],
    ] as [Record<string, string>, number | null, RegExp][]) {
      const name = `${JSON.stringify(environment)} and ${expiresAt === null ? 'no expiry' : 'an expiry'}`
      await t.test(`lists and pages show when a token expires, with ${name}`, async t => {
        const { browser, user } = await startWithUser(t, database, environment)
        await database.kysely.deleteFrom('personal_access_tokens').where('id', '=', user.tokenId).execute()
        const { tokenId } = await aToken(database, user.id, { expiresAt })
        t.match(textOf(await browser.open('/admin')), says)
        t.match(textOf(await browser.open(`/admin/tokens/${tokenId}`)), says)
      })
    }

    await t.test('expired tokens and tokens that expire soon are marked', async t => {
      const { app, browser, user } = await startWithUser(t, database)
      for (const [expiresAt, mark] of [
        [NOW - MINUTE, 'expired'],
        [NOW + 14 * DAY, 'expires soon'],
        [NOW + 14 * DAY + MINUTE, null],
      ] as const) {
        const { tokenId } = await aToken(database, user.id, { expiresAt })
        const page = textOf(await browser.open(`/admin/tokens/${tokenId}`))
        const row = new RegExp(`tokens/${tokenId}">.*?</li>`, 's').exec((await browser.open('/admin')).text)
        for (const text of [page, row?.[0] ?? '']) {
          for (const one of ['expired', 'expires soon'])
            t.equal(text.includes(one), one === mark, String(mark))
        }
      }
      const infinite = await aToken(database, user.id)
      await database.kysely
        .updateTable('personal_access_tokens')
        .set({ expires_at: '-infinity' })
        .where('id', '=', infinite.tokenId)
        .execute()
      t.match(textOf(await browser.open(`/admin/tokens/${infinite.tokenId}`)), /is invalid\) expired/)
      t.equal((await get(app, '/api/me', infinite.token)).status, 401)
    })

    await t.test('the form shows the default expiry', async t => {
      for (const [environment, says] of [
        [{ SANCTUM_EXPIRATION: 'null' }, 'If empty, the token never expires.'],
        [{ SANCTUM_EXPIRATION: '1440' }, 'If empty, the token expires on 2026-03-02.'],
        [
          { SANCTUM_IDLE_EXPIRATION: '2880' },
          'If empty, the token expires on 2026-03-03 unless used before.',
        ],
      ] as [Record<string, string>, string][]) {
        const { browser } = await startWithUser(t, database, environment)
        t.match(textOf(await browser.open('/admin')), says)
      }
    })
  })
}
