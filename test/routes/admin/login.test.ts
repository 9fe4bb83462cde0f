import t from 'tap'
import { TestBrowser } from '../../fixtures/browser.ts'
import { MINUTE } from '../../fixtures/clock.ts'
import { aPanelUser, PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { totpCode } from '../../fixtures/second-factor.ts'
import { startUnlimited } from '../../fixtures/server.ts'
import { aMember, aUser, PASSWORD } from '../../fixtures/users.ts'
import { get } from '../../support/app.ts'
import { createDatabase, ENGINES } from '../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`logging in to the panel on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database)

    await t.test(
      'a guest is redirected to the login page and, after the login, to the requested page',
      async t => {
        const user = await aMember(database)
        const browser = new PanelBrowser(app)
        const refused = await browser.bare('GET', '/admin/devices')
        t.equal(refused.status, 303)
        t.equal(refused.headers.location, '/admin/login?to=/admin/devices')
        t.match(refused.headers['content-security-policy'], /default-src 'none'/)

        const page = await browser.open('/admin/devices')
        const wrong = await browser.submit(page, '/admin/login', { email: user.email, password: 'wrong' })
        t.equal(wrong.status, 422)
        t.match(textOf(wrong), 'These credentials do not match our records.')
        t.match(wrong.text, `value="${user.email}"`, 'the address is kept in the form')
        t.notMatch(wrong.text, 'value="wrong"', 'the password is not')
        const right = await browser.submit(wrong, '/admin/login', { email: user.email, password: PASSWORD })
        t.equal(right.status, 200)
        t.match(textOf(right), /Devices.*this browser/)
        t.equal(
          (await browser.bare('GET', '/admin/login')).headers.location,
          '/admin',
          'the login page redirects a logged-in user',
        )

        const out = await browser.submit(right, '/admin/logout')
        t.match(textOf(out), 'You are logged out.')
        t.equal((await browser.bare('GET', '/admin')).status, 303)
      },
    )

    await t.test('the login redirects to paths of the panel only', async t => {
      const user = await aMember(database)
      for (const to of [
        '//evil.example',
        'https://evil.example',
        '/admin/../x',
        '/adminx',
        '/admin\\x',
        '/',
      ]) {
        const browser = new PanelBrowser(app)
        const page = await browser.open(`/admin/login?to=${encodeURIComponent(to)}`)
        const fields = { email: user.email, password: PASSWORD, to }
        t.equal((await browser.sendForm(page, '/admin/login', fields)).headers.location, '/admin', to)
      }
    })

    await t.test('a login that waits for the second factor expires after ten minutes', async t => {
      const app = await startUnlimited(t, database)
      const user = await aMember(database)
      const client = new TestBrowser(app)
      await client.logIn(user)
      await client.post('/user/confirm-password', { password: PASSWORD })
      await client.post('/user/two-factor-authentication')
      const { secretKey } = (await client.get('/user/two-factor-secret-key')).json
      const code = () => totpCode(secretKey, app)
      await client.post('/user/confirmed-two-factor-authentication', { code: code() })
      app.clock.advance(MINUTE)

      const [inTime, late] = [new PanelBrowser(app), new PanelBrowser(app)]
      const [page, latePage] = [await inTime.logIn(user), await late.logIn(user)]
      t.match(textOf(latePage), 'Second factor')
      t.equal((await late.bare('GET', '/admin')).status, 303, 'the password alone is not enough')
      app.clock.advance(10 * MINUTE)
      t.equal((await late.bare('GET', '/admin/two-factor')).status, 200)
      const answer = await inTime.sendForm(page, '/admin/two-factor', { code: code() })
      t.equal(answer.headers.location, '/admin')
      t.equal((await inTime.bare('GET', '/admin')).status, 200)

      app.clock.advance(MINUTE)
      t.equal((await late.bare('GET', '/admin/two-factor')).headers.location, '/admin/login')
      const refused = await late.sendForm(latePage, '/admin/two-factor', { code: code() })
      t.equal(refused.headers.location, '/admin/login', 'an expired login has to start again')
      t.equal((await late.bare('GET', '/admin')).status, 303)
    })

    await t.test('a user without permissions sees no pages about other users', async t => {
      const { browser } = await aPanelUser(app, database)
      const page = await browser.open('/admin')
      t.equal(page.status, 200)
      t.notMatch(page.text, '/admin/users')
      for (const path of ['/admin/users', '/admin/users/1', '/admin/roles', '/admin/roles/1']) {
        const answer = await browser.bare('GET', path)
        t.equal(answer.status, 403, path)
        t.match(textOf(answer), 'You are not allowed to do this.')
      }
    })

    await t.test('a bearer token does not open pages of the panel', async t => {
      const user = await aUser(database, { roles: ['Admin'] })
      t.equal((await get(app, '/admin', user.token)).status, 303)
      t.equal((await get(app, '/admin/users', user.token)).status, 303)
    })
  })
}
