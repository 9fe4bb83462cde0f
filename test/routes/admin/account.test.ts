import t from 'tap'
import { aPanelUser, PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { NEW_PASSWORD } from '../../fixtures/passwords.ts'
import { startUnlimited } from '../../fixtures/server.ts'
import { aToken, PASSWORD } from '../../fixtures/users.ts'
import { get } from '../../support/app.ts'
import { createDatabase, ENGINES } from '../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`the own account on the panel on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startUnlimited(t, database)

    await t.test('sessions are listed and ended', async t => {
      const { browser, user } = await aPanelUser(app, database)
      const others = [new PanelBrowser(app), new PanelBrowser(app), new PanelBrowser(app)]
      for (const other of others) await other.logIn(user)
      const page = await browser.open('/admin/devices')
      const action = /action="(\/admin\/devices\/[0-9a-f]{64}\/end)"/.exec(page.text)?.[1] ?? ''
      t.match(textOf(await browser.submitConfirmed(page, action)), 'The browser was logged out.')
      const alive = async () =>
        (await Promise.all(others.map(other => other.bare('GET', '/admin')))).filter(
          ({ status }) => status === 200,
        )
      t.equal((await alive()).length, 2)
      await browser.submitConfirmed(await browser.open('/admin/devices'), '/admin/devices/end-others')
      t.equal((await alive()).length, 0)
      t.equal((await browser.bare('GET', '/admin/devices')).status, 200)
    })

    await t.test('the password is changed, and tokens are revoked on request', async t => {
      const { browser, user } = await aPanelUser(app, database)
      const page = await browser.open('/admin/password')
      const weak = await browser.submit(page, '/admin/password', { current_password: 'wrong', password: 'x' })
      t.equal(weak.status, 422)
      t.match(textOf(weak), 'The provided password does not match your current password.')
      t.match(textOf(weak), 'The password must be at least 8 characters.')
      const repeated = { password: NEW_PASSWORD, password_confirmation: NEW_PASSWORD }
      for (const fields of [repeated, { ...repeated, current_password: '' }]) {
        const without = await browser.submit(page, '/admin/password', fields)
        t.equal(without.status, 422)
        t.match(textOf(without), 'The current password field is required.')
      }
      const fields = {
        current_password: PASSWORD,
        password: NEW_PASSWORD,
        password_confirmation: NEW_PASSWORD,
      }
      const done = await browser.submit(weak, '/admin/password', { ...fields, revoke_tokens: '1' })
      t.match(textOf(done), 'Your password was changed.')
      t.equal((await get(app, '/api/me', user.token)).status, 401)
      t.equal((await new PanelBrowser(app).logIn(user)).status, 422)
      t.equal((await new PanelBrowser(app).logIn({ ...user, password: NEW_PASSWORD })).status, 200)
    })

    await t.test('activity is listed in pages of fifty', async t => {
      const { browser, user } = await aPanelUser(app, database)
      const page = await browser.open('/admin')
      for (let n = 0; n < 60; n++) {
        await browser.sendForm(page, `/admin/tokens/${user.tokenId}/revoke`, { confirmed: '1' })
        await aToken(database, user.id)
        await browser.get('/sanctum/csrf-cookie')
      }
      const wrong = { name: 'x', scope: 'all', current_password: 'wrong' }
      for (let n = 0; n < 55; n++) await browser.sendForm(page, '/admin/tokens', wrong)
      await app.events.drain()
      const first = await browser.open('/admin/activity')
      t.equal([...first.text.matchAll(/>wrong password</g)].length, 50)
      const older = /href="(\/admin\/activity\?before=\d+)"/.exec(first.text)?.[1] ?? ''
      const second = await browser.open(older)
      t.equal([...second.text.matchAll(/>wrong password</g)].length, 5)
      t.match(second.text, />login</)
      for (const before of ['x', '-1', '999999999999999', '1%00']) {
        t.equal((await browser.open(`/admin/activity?before=${before}`)).status, 200, before)
      }
    })
  })
}
