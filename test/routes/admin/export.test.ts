import { readFile } from 'node:fs/promises'
import t from 'tap'
import { aPanelUser, PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { launch, skip } from '../../fixtures/spa.ts'
import { aMember, PASSWORD } from '../../fixtures/users.ts'
import { startApp } from '../../support/app.ts'
import { createDatabase, ENGINES } from '../../support/databases.ts'
import { freePort } from '../../support/services.ts'

const PATH = '/admin/export'

for (const engine of ENGINES) {
  t.test(`the panel's page for downloading all data on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const start = (environment: Record<string, string> = {}) =>
      startApp(t, { database, environment: { ...UNLIMITED, ...environment } })
    const countEvents = async (app: Awaited<ReturnType<typeof start>>, { id }: { id: number }) => {
      await app.events.drain()
      const { count } = await database.kysely
        .selectFrom('account_events')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .where('user_id', '=', id)
        .where('event', '=', 'data exported')
        .executeTakeFirstOrThrow()
      return Number(count)
    }

    await t.test('the form asks for the password, and sends the file', async t => {
      const app = await start()
      const { user, browser } = await aPanelUser(app, database)
      const page = await browser.open(PATH)
      t.match(textOf(page), /Your data/)
      t.match(page.text, /name="current_password"/)
      const refused = await browser.sendForm(page, PATH, { current_password: 'wrong' })
      t.equal(refused.status, 422)
      t.equal((await browser.sendForm(page, PATH)).status, 422, 'no password')
      t.equal(await countEvents(app, user), 0)

      const { status, headers, json } = await browser.sendForm(page, PATH, { current_password: PASSWORD })
      t.equal(status, 200)
      t.match(headers, {
        'content-type': /^application\/json/,
        'content-disposition': 'attachment; filename="animethemes-export-2026-03-01.json"',
        'cache-control': 'no-store, private',
      })
      t.match(json, { account: { email: user.email }, complete: true })
      t.equal(await countEvents(app, user), 1)
      t.match(textOf(await browser.open('/admin/activity')), /data exported/)

      const again = await browser.open(PATH)
      t.notMatch(again.text, /name="current_password"/, 'the password is confirmed for three hours')
      t.equal((await browser.sendForm(again, PATH)).status, 200)
      t.equal((await browser.sendForm(again, PATH)).status, 200, 'the same page sends it again')
    })

    await t.test('the API and the panel share the limit', async t => {
      const app = await start({ EXPORT_DAILY_LIMIT: '2' })
      const { user, browser } = await aPanelUser(app, database, { confirmed: true })
      const page = await browser.open(PATH)
      t.equal((await browser.sendForm(page, PATH)).status, 200)
      t.equal(
        (await app.inject({ url: '/api/me/export', headers: { authorization: `Bearer ${user.token}` } }))
          .statusCode,
        200,
      )
      const refused = await browser.sendForm(page, PATH)
      t.equal(refused.status, 429)
      t.match(refused.headers['retry-after'], /^864\d\d$/)
      t.match(refused.headers['content-type'], /html/)
      t.equal(refused.headers['content-disposition'], undefined)
    })

    await t.test('no other site can send the form, and opening the page downloads nothing', async t => {
      const app = await start()
      const { user, browser } = await aPanelUser(app, database, { confirmed: true })
      const page = await browser.open(PATH)
      t.equal(page.headers['content-disposition'], undefined)
      for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }]) {
        t.equal((await browser.sendForm(page, PATH, {}, headers)).status, 403)
      }
      t.equal((await browser.sendForm(page, PATH, { _token: 'x' }, { 'sec-fetch-site': '' })).status, 419)
      t.equal((await new PanelBrowser(app).bare('POST', PATH)).status >= 300, true)
      t.equal(await countEvents(app, user), 0)
    })
  })
}

const axe = await readFile(new URL('../../../../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')

t.test('in a browser without JavaScript, by keyboard', { skip }, async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const port = await freePort()
  const app = await startApp(t, {
    database,
    environment: { ...UNLIMITED, APP_URL: `http://127.0.0.1:${port}` },
  })
  await app.listen({ host: '127.0.0.1', port })
  const user = await aMember(database)
  const browser = await launch(t)
  for (const javaScriptEnabled of [false, true]) {
    const context = await browser.newContext({ baseURL: `http://127.0.0.1:${port}`, javaScriptEnabled })
    const page = await context.newPage()
    await page.goto('/admin/export')
    await page.fill('#email', user.email)
    await page.fill('#password', PASSWORD)
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.getByRole('heading', { name: 'Your data' }).waitFor()
    await page.locator('#current_password').focus()
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press('Tab')
    const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')])
    t.equal(download.suggestedFilename(), 'animethemes-export-2026-03-01.json')
    const data = JSON.parse(await readFile(await download.path(), 'utf8'))
    t.match(data, { account: { email: user.email }, complete: true })
    if (javaScriptEnabled) {
      await page.evaluate(axe)
      const { violations } = await page.evaluate<{ violations: unknown[] }>('axe.run()')
      t.strictSame(violations, [])
    }
    await context.close()
  }
})
