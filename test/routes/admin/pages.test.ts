import t from 'tap'
import { SPA } from '../../fixtures/browser.ts'
import { aNotification } from '../../fixtures/lists.ts'
import { aPanelUser, formsOf, PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { startUnlimited } from '../../fixtures/server.ts'
import { aUser, PASSWORD, USER_TYPE } from '../../fixtures/users.ts'
import { ODD_VALUES } from '../../fixtures/values.ts'
import { get, send } from '../../support/app.ts'
import { createDatabase, ENGINES } from '../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`pages of the panel on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database)

    await t.test('an unknown path is 404 with a page', async t => {
      const answer = await new PanelBrowser(app).bare('GET', '/admin/nothing')
      t.equal(answer.status, 404)
      t.match(answer.headers['content-type'], 'text/html')
      t.match(textOf(answer), 'This page does not exist')
    })

    await t.test('stylesheet and script are cacheable and set no cookies', async t => {
      const { text } = await new PanelBrowser(app).open('/admin/login')
      const paths = [...text.matchAll(/(?:href|src)="(\/admin\/panel[^"]+)"/g)].map(([, path]) => path ?? '')
      t.equal(paths.length, 2)
      for (const path of paths) {
        const answer = await get(app, path)
        t.equal(answer.status, 200)
        t.equal(answer.headers['cache-control'], 'public, max-age=31536000, immutable')
        t.strictSame(answer.setCookies, [])
        const other = await get(app, path.replace(/v=.*/, 'v=another'))
        t.equal(other.status, 200)
        t.equal(other.headers['cache-control'], 'no-store, private', 'another version is not cacheable')
      }
      for (const path of [
        '/admin/other.css',
        '/admin/panel.css/x',
        '/admin/panel.js.map',
        '/admin/panel.txt',
      ]) {
        const answer = await get(app, path)
        t.equal(answer.status, 404, path)
        t.equal(answer.headers['cache-control'], 'no-store, private', 'a 404 is not cached')
      }
    })
  })
}

t.test('responses of the panel to hostile input', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())

  await t.test('a form field of any JSON type is never a 5xx', async t => {
    const app = await startUnlimited(t, database)
    const { browser, user } = await aPanelUser(app, database, { roles: ['Admin'] })
    const other = await aUser(database)
    const token = `/admin/tokens/${user.tokenId}`
    const paths = ['/admin', token, '/admin/password', `/admin/users/${other.id}`, '/admin/roles/1']
    let sent = 0
    for (const path of paths) {
      const page = await browser.open(path)
      for (const [form, action = ''] of page.text.matchAll(/<form[^>]*action="([^"]*)"[\s\S]*?<\/form>/g)) {
        if (action === '/admin/logout') continue
        const { hidden = {} } = formsOf(page).find(one => one.action === action) ?? {}
        const names = [...form.matchAll(/ name="([^"]*)"/g)].map(([, name = '']) => name.replace('[]', ''))
        for (const name of new Set([...names, 'current_password'])) {
          if (name === '_token') continue
          for (const value of ODD_VALUES) {
            const answer = await browser.bare('POST', action, { payload: { ...hidden, [name]: value } })
            t.ok(answer.status < 500, `${action} ${name} ${JSON.stringify(value)}: ${answer.status}`)
            sent += 1
          }
        }
      }
    }
    t.ok(sent > 200, `${sent} forms were sent`)
  })

  await t.test('user input is escaped on every page', async t => {
    const app = await startUnlimited(t, database)
    const { kysely } = database
    const evil = `</textarea></pre>'"><script>alert(1)</script><img src=x onerror=alert(1)>`
    const { browser, user } = await aPanelUser(app, database, { roles: ['Admin'] })
    const agent = { 'user-agent': evil }
    await new PanelBrowser(app).bare('GET', '/admin', { headers: agent })
    await get(app, '/api/me', user.token, agent)
    await app.lastUse.flush()
    await kysely
      .updateTable('sessions')
      .set({ user_agent: evil, ip_address: '<b>1</b>' })
      .where('user_id', '=', user.id)
      .execute()
    await kysely
      .updateTable('personal_access_tokens')
      .set({ name: evil, abilities: JSON.stringify([evil]) })
      .where('id', '=', user.tokenId)
      .execute()
    const other = await aUser(database)
    await kysely
      .updateTable('users')
      .set({ name: `${evil}x` })
      .where('id', '=', other.id)
      .execute()
    const notification = await aNotification(database, other.id)
    await kysely
      .updateTable('notifications')
      .set({ data: evil, type: evil })
      .where('id', '=', notification)
      .execute()
    await kysely
      .insertInto('account_events')
      .values(
        [user.id, other.id].map(user_id => ({
          user_id,
          event: '<script>alert(1)</script>',
          details: JSON.stringify({ [evil]: evil }),
          ip_address: '<i>',
          user_agent: evil,
          created_at: '2026-03-01 12:00:00',
        })),
      )
      .execute()
    await kysely.updateTable('roles').set({ name: evil }).where('name', '=', 'Patron').execute()
    await kysely.updateTable('prohibitions').set({ name: evil }).where('name', '=', 'view dump').execute()
    const prohibition = await kysely
      .selectFrom('prohibitions')
      .select('id')
      .where('name', '=', evil)
      .executeTakeFirstOrThrow()
    await kysely
      .insertInto('model_prohibitions')
      .values({ prohibition_id: prohibition.id, model_type: USER_TYPE, model_id: other.id, reason: evil })
      .execute()
    const role = await kysely
      .selectFrom('roles')
      .select('id')
      .where('name', '=', evil)
      .executeTakeFirstOrThrow()

    const q = encodeURIComponent(evil)
    const pages = [
      '/admin',
      `/admin/tokens/${user.tokenId}`,
      '/admin/devices',
      '/admin/activity',
      `/admin/users?q=${q}`,
      `/admin/users/${other.id}`,
      '/admin/roles',
      `/admin/roles/${role.id}`,
      `/admin/nothing${q}`,
      `/admin/login?to=${q}`,
      `/admin?done=${q}`,
    ]
    for (const path of pages) {
      const { text, status } = await browser.open(path)
      t.ok(status < 500, path)
      t.notMatch(text, /<script>|<img|<b>1|<i>/, path)
      t.match(text, /<\/main><\/body><\/html>$/, `${path} is complete`)
    }
    t.match((await browser.open(`/admin/users/${other.id}`)).text, '&lt;script>alert(1)')

    const returned = await browser.submit(await browser.open('/admin'), '/admin/tokens', {
      name: evil,
      scope: evil,
      allowed_ips: evil,
      expires_at: evil,
      'abilities[]': [evil],
    })
    t.equal(returned.status, 422)
    t.notMatch(returned.text, /<script>|<img/, 'a form that returns with errors')
    const issued = await browser.submit(await browser.open('/admin'), '/admin/tokens', {
      name: evil,
      scope: 'all',
      current_password: PASSWORD,
    })
    t.equal(issued.status, 201)
    t.notMatch(issued.text, /<script>|<img/)
  })

  await t.test('the mail about a ban escapes the reason', async t => {
    const app = await startUnlimited(t, database)
    const { browser } = await aPanelUser(app, database, { roles: ['Admin'] })
    const other = await aUser(database, { roles: ['Verified'] })
    const path = `/admin/users/${other.id}`
    const fields = { ban: 'everything', permanent: '1', reason: '<img src=x>\r\nBcc: x@example.org' }
    await browser.submitConfirmed(await browser.open(path), `${path}/ban`, fields)
    const mail = await app.mailbox.next()
    t.notMatch(mail.html, '<img')
    t.notMatch(mail.subject, 'Bcc')
  })

  await t.test('every response has a Content-Security-Policy without external sources', async t => {
    const app = await startUnlimited(t, database)
    const { browser, user } = await aPanelUser(app, database)
    const answers = {
      page: await browser.bare('GET', '/admin'),
      redirect: await new PanelBrowser(app).bare('GET', '/admin'),
      'after a form': await browser.sendForm(
        await browser.open('/admin'),
        `/admin/tokens/${user.tokenId}/revoke`,
        { confirmed: '1' },
      ),
      'unknown page': await browser.bare('GET', '/admin/nothing'),
      forbidden: await browser.bare('GET', '/admin/users'),
      'no token': await browser.post('/admin/logout'),
      'wrong method': await browser.bare('DELETE', '/admin'),
      'not a form': await browser.bare('POST', '/admin/login', {
        payload: '<x>',
        headers: { 'content-type': 'text/xml' },
      }),
      preflight: await send(app, 'OPTIONS', '/admin', {
        headers: { origin: SPA, 'access-control-request-method': 'POST' },
      }),
      'too much': await browser.post('/admin/logout', { x: Array(1001).fill('1') }),
      broken: await send(app, 'GET', '/admin/%zz'),
      stylesheet: await get(app, '/admin/panel.css'),
      script: await get(app, '/admin/panel.js'),
    }
    for (const [name, { headers, status }] of Object.entries(answers)) {
      const policy = headers['content-security-policy'] ?? ''
      t.ok(status < 500, name)
      t.match(policy, /default-src 'none'/, name)
      t.match(policy, /frame-ancestors 'none'/, name)
      t.notMatch(policy, /unsafe|\*|https?:|data:/, name)
      t.equal(headers['x-frame-options'], 'DENY')
    }
    t.equal(answers['too much'].status, 400)
    t.equal(
      (await browser.post('/admin/logout', { x: Array(1000).fill('1') })).status,
      419,
      'a form of 1000 values is parsed',
    )
    t.match(answers.page.headers['content-security-policy'], /form-action 'self'; base-uri 'none'/)
    t.equal(answers.page.headers['referrer-policy'], 'same-origin')
    t.equal(answers.page.headers['cache-control'], 'no-store, private')
    t.notMatch(answers.page.text, / style=|<style| on[a-z]+="/, 'pages have no inline styles or handlers')
    t.notMatch(answers.page.text, /https?:\/\//, 'pages load nothing from other hosts')
  })
})
