import t from 'tap'
import { DAY, MINUTE } from '../../fixtures/clock.ts'
import { aPanelUser, textOf } from '../../fixtures/panel.ts'
import { startUnlimited } from '../../fixtures/server.ts'
import { aUser, PASSWORD } from '../../fixtures/users.ts'
import { get } from '../../support/app.ts'
import { createDatabase, ENGINES } from '../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`users on the panel on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database)

    await t.test('users are found by name, address or id, and special characters are literal', async t => {
      const { browser } = await aPanelUser(app, database, { roles: ['Admin'] })
      const wanted = await aUser(database, { roles: ['Encoder'] })
      const other = await aUser(database)
      for (const q of [wanted.name.toUpperCase(), wanted.email, String(wanted.id)]) {
        const page = await browser.open(`/admin/users?q=${encodeURIComponent(q)}`)
        t.match(textOf(page), wanted.email, q)
        t.match(textOf(page), 'Encoder')
        // The digits of an id may be part of the other user's random name.
        if (q !== String(wanted.id)) t.notMatch(textOf(page), other.email)
      }
      for (const q of ['%', '_', '\\', '%00', 'x'.repeat(1000), '9'.repeat(30)]) {
        const page = await browser.open(`/admin/users?q=${encodeURIComponent(q)}&page=2`)
        t.equal(page.status, 200)
        t.match(textOf(page), 'No users found.', q)
      }
      const odd = '100%_\\'
      await database.kysely.updateTable('users').set({ name: odd }).where('id', '=', other.id).execute()
      for (const q of ['%', '_', '\\', '0%_', odd]) {
        const page = await browser.open(`/admin/users?q=${encodeURIComponent(q)}`)
        t.match(textOf(page), other.email, `${q} is literal`)
        t.notMatch(textOf(page), wanted.email, q)
      }
      for (const q of ['1%0', '10_%', '%%']) {
        const page = await browser.open(`/admin/users?q=${encodeURIComponent(q)}`)
        t.match(textOf(page), 'No users found.', q)
      }
      t.equal((await browser.open('/admin/users?q=%00&page=0&page=x')).status, 200)
      for (let n = 0; n < 30; n++) await aUser(database)
      const first = await browser.open('/admin/users?q=user-')
      const next = /href="(\/admin\/users\?q=user-&amp;page=2)"/.exec(first.text)?.[1] ?? ''
      t.match(textOf(await browser.open(next.replace('&amp;', '&'))), 'Previous page')
    })

    await t.test('marking an address as verified grants the default roles', async t => {
      const { browser } = await aPanelUser(app, database, { roles: ['Admin'] })
      const user = await aUser(database, { verified: false })
      const path = `/admin/users/${user.id}`
      const requestPlaylists = async () => (await get(app, '/api/me/playlist', user.token)).status
      t.equal(await requestPlaylists(), 403)

      const page = await browser.submit(await browser.open(path), `${path}/verify`)
      t.match(textOf(page), 'was marked as verified')
      t.equal(await requestPlaylists(), 200, 'the default roles allow it')
    })

    await t.test("an administrator changes a user's roles after entering the password", async t => {
      const { browser } = await aPanelUser(app, database, { roles: ['Admin'] })
      const user = await aUser(database, { roles: ['Patron'] })
      const path = `/admin/users/${user.id}`
      const form = await browser.open(path)
      const roles = { 'roles[]': ['Encoder'] }
      const refused = await browser.submit(form, `${path}/roles`, { ...roles, current_password: 'wrong' })
      t.equal(refused.status, 422, 'a wrong password')
      const page = await browser.submitConfirmed(form, `${path}/roles`, {
        ...roles,
        current_password: PASSWORD,
      })
      t.match(textOf(page), /Roles Encoder/)
      const held = (await get(app, '/api/me?include=roles', user.token)).json.user.roles
      t.strictSame(
        held.map(({ name }: { name: string }) => name),
        ['Encoder'],
      )
    })

    await t.test('a ban from everything blocks the API, is mailed to the user, and is lifted', async t => {
      const app = await startUnlimited(t, database)
      const { browser } = await aPanelUser(app, database, { roles: ['Admin'] })
      const user = await aUser(database, { roles: ['Verified'] })
      const path = `/admin/users/${user.id}`
      const requestPlaylists = async () => (await get(app, '/api/me/playlist', user.token)).status
      let page = await browser.open(path)
      page = await browser.submitConfirmed(page, `${path}/ban`, {
        ban: 'everything',
        reason: 'spam',
        expires_at: '2026-03-08',
      })
      t.match(textOf(page), /The user was banned.*Banned until 2026-03-08 00:00 UTC , by .*: spam/)
      const banned = await get(app, '/api/me/playlist', user.token)
      t.equal(banned.status, 403)
      t.equal(banned.json.message, 'Your account is banned until 2026-03-08: spam.')
      const mail = await app.mailbox.next()
      t.equal(mail.to.address, user.email)
      t.match(mail.text, /Banned\..*2026-03-08T00:00:00Z.*spam/s)
      const ban = /name="ban" value="(sanction:\d+)"/.exec(page.text)?.[1] ?? ''
      page = await browser.submit(page, `${path}/lift`, { ban })
      t.match(textOf(page), 'The ban was lifted.')
      t.equal(await requestPlaylists(), 200)
    })

    await t.test(
      'a ban from one permission replaces an earlier one, expires, and is then not listed',
      async t => {
        const app = await startUnlimited(t, database)
        const { browser, user: admin } = await aPanelUser(app, database, { roles: ['Admin'] })
        const user = await aUser(database, { roles: ['Verified'] })
        const path = `/admin/users/${user.id}`
        const requestPlaylists = async () => (await get(app, '/api/me/playlist', user.token)).status
        let page = await browser.open(path)
        const prohibition = /value="(prohibition:\d+)">view playlist</.exec(page.text)?.[1] ?? ''
        page = await browser.submitConfirmed(page, `${path}/ban`, { ban: prohibition, permanent: '1' })
        t.equal(await requestPlaylists(), 403)
        page = await browser.submitConfirmed(page, `${path}/ban`, {
          ban: prohibition,
          expires_at: '2026-03-02',
        })
        t.match(textOf(page), /view playlist until 2026-03-02/, 'a new ban replaces the earlier one')
        app.clock.advance(DAY)
        t.equal(await requestPlaylists(), 200, 'a ban expires')

        await browser.logIn(admin)
        page = await browser.open(path)
        t.match(textOf(page), /Bans None\./, 'an expired ban is not listed')
      },
    )

    await t.test('an administrator sends a notification', async t => {
      const { browser } = await aPanelUser(app, database, { roles: ['Admin'] })
      const user = await aUser(database, { roles: ['Verified'] })
      const path = `/admin/users/${user.id}`
      const form = await browser.open(path)
      const data = '{"title":"Hello"}'
      const page = await browser.submit(form, `${path}/notify`, {
        type: 'App\\Notifications\\X',
        data,
      })
      t.match(textOf(page), data)
      t.match((await get(app, '/api/me/notification', user.token)).json.notifications, [
        { data: { title: 'Hello' } },
      ])
    })

    await t.test(
      "what an administrator does to a user is recorded in the user's events, without an address",
      async t => {
        const { browser, user: admin } = await aPanelUser(app, database, { roles: ['Admin'] })
        const user = await aUser(database, { verified: false })
        const path = `/admin/users/${user.id}`
        await browser.submit(await browser.open(path), `${path}/verify`)
        const roles = { 'roles[]': ['Encoder'], current_password: PASSWORD }
        await browser.submitConfirmed(await browser.open(path), `${path}/roles`, roles)
        const banned = await browser.submitConfirmed(await browser.open(path), `${path}/ban`, {
          ban: 'everything',
          permanent: '1',
        })
        const ban = /name="ban" value="(sanction:\d+)"/.exec(banned.text)?.[1] ?? ''
        await browser.submit(banned, `${path}/lift`, { ban })
        await browser.submitConfirmed(await browser.open(path), `${path}/revoke`)
        t.equal((await get(app, '/api/me', user.token)).status, 401)
        await app.events.drain()
        const events = await database.kysely
          .selectFrom('account_events')
          .select(['event', 'details', 'ip_address'])
          .where('user_id', '=', user.id)
          .orderBy('id')
          .execute()
        for (const event of [
          'email verified',
          'role granted',
          'role revoked',
          'banned',
          'ban lifted',
          'token revoked',
        ]) {
          const found = events.find(one => one.event === event)
          t.ok(found, event)
          t.equal(JSON.parse(found?.details ?? '{}').by, admin.id)
          t.equal(found?.ip_address, null, 'the address of the administrator is not stored')
        }
      },
    )

    await t.test('a deleted user is not listed, and forms for the user are 404', async t => {
      const { browser } = await aPanelUser(app, database, { roles: ['Admin'] })
      const deleted = await aUser(database, { verified: false })
      const path = `/admin/users/${deleted.id}`
      const page = await browser.open(path)
      await database.kysely
        .updateTable('users')
        .set({ deleted_at: '2026-03-01 12:00:00' })
        .where('id', '=', deleted.id)
        .execute()
      for (const q of [deleted.name, deleted.email]) {
        t.match(textOf(await browser.open(`/admin/users?q=${q}`)), 'No users found.', q)
      }
      t.notMatch(textOf(await browser.open('/admin/users')), deleted.email)
      t.equal((await browser.bare('GET', path)).status, 404)
      for (const [form, fields] of Object.entries<Record<string, string | string[]>>({
        verify: {},
        revoke: {},
        roles: { 'roles[]': ['Encoder'], current_password: PASSWORD },
        ban: { ban: 'everything', permanent: '1' },
        notify: { type: 'x', data: '{}' },
      })) {
        const all = { ...fields, _token: await browser.csrfToken() }
        t.equal((await browser.sendForm(page, `${path}/${form}`, all)).status, 404, form)
      }
    })

    await t.test('invalid input of the forms about a user returns 422', async t => {
      const { browser } = await aPanelUser(app, database, { roles: ['Admin'] })
      const user = await aUser(database)
      const path = `/admin/users/${user.id}`
      const page = await browser.open(path)
      for (const [form, fields, sentence] of [
        ['ban', { ban: 'prohibition:999999', permanent: '1' }, 'The selected ban is invalid.'],
        ['ban', { ban: 'nothing', permanent: '1' }, 'The selected ban is invalid.'],
        ['ban', { ban: 'everything', expires_at: '2020-01-01' }, 'The expires at must be a date after now.'],
        ['ban', { ban: 'everything', expires_at: 'soon' }, 'The expires at must be a date such as'],
        ['ban', { ban: 'everything', expires_at: '+275760-09-13' }, 'The expires at must be a date such as'],
        ['ban', { ban: 'everything', reason: 'a\0', permanent: '1' }, 'The selected reason is invalid.'],
        ['notify', { type: 'x', data: '[1]' }, 'The data must be a JSON object.'],
        ['notify', { type: 'x', data: '{' }, 'The data must be a JSON object.'],
        ['notify', { type: 'x', data: 'null' }, 'The data must be a JSON object.'],
        ['notify', { type: 'x', data: '"{}"' }, 'The data must be a JSON object.'],
        ['notify', { type: '../x', data: '{}' }, 'The selected type is invalid.'],
        [
          'notify',
          { type: 'Filament\\Notifications\\DatabaseNotification', data: '{}' },
          'The selected type is invalid.',
        ],
      ] as [string, Record<string, string>, string][]) {
        const answer = await browser.submit(page, `${path}/${form}`, fields)
        t.equal(answer.status, 422, JSON.stringify(fields))
        t.match(textOf(answer), sentence)
      }
      const escaped = await browser.submit(page, `${path}/notify`, { type: 'x', data: '{"a":"\\u0000"}' })
      t.equal(escaped.status, 200, 'an escaped null character is valid JSON')
      t.equal((await get(app, '/api/me/notification', user.token)).status, 403)
      for (const id of ['0', 'x', '999999999999999', '1e3', '%00']) {
        t.equal((await browser.bare('GET', `/admin/users/${id}`)).status, 404, id)
      }
    })

    await t.test('a refused role form keeps the checked roles', async t => {
      const app = await startUnlimited(t, database)
      const { browser, user: admin } = await aPanelUser(app, database, { roles: ['Admin'] })
      const user = await aUser(database)
      const path = `/admin/users/${user.id}`
      const boxes = { 'roles[]': ['Patron', 'Developer'], current_password: 'wrong' }
      app.clock.advance(181 * MINUTE)
      await browser.logIn({ ...admin, password: PASSWORD })
      const again = await browser.submit(await browser.open(path), `${path}/roles`, boxes)
      t.equal(again.status, 422)
      const ticked = [...again.text.matchAll(/<input[^>]*name="roles\[\]"[^>]*>/g)]
        .filter(([input]) => input.includes(' checked'))
        .map(([input]) => /value="([^"]*)"/.exec(input)?.[1])
      t.strictSame(ticked.sort(), ['Developer', 'Patron'])
    })
  })
}

t.test('races of moderators', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const app = await startUnlimited(t, database)

  await t.test('twenty concurrent bans of one user store one row', async t => {
    const { browser } = await aPanelUser(app, database, { roles: ['Admin'] })
    const other = await aUser(database)
    const page = await browser.open(`/admin/users/${other.id}`)
    const prohibition = /value="(prohibition:\d+)">view playlist</.exec(page.text)?.[1] ?? ''
    // An empty `_once` disables the protection against double submission, as if each came from another moderator.
    const fields = { ban: prohibition, reason: 'x', permanent: '1', confirmed: '1', _once: '' }
    const ban = () => browser.sendForm(page, `/admin/users/${other.id}/ban`, fields)
    const statuses = (await Promise.all(Array.from({ length: 20 }, ban))).map(({ status }) => status)
    t.strictSame(new Set(statuses), new Set([303]))
    const { length } = await database.kysely
      .selectFrom('model_prohibitions')
      .select('prohibition_id')
      .where('model_id', '=', other.id)
      .execute()
    t.equal(length, 1)
  })
})
