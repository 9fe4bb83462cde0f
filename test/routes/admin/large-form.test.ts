import t from 'tap'
import { aPanelUser, formsOf } from '../../fixtures/panel.ts'
import { startApp } from '../../support/app.ts'
import { createDatabase } from '../../support/databases.ts'

/** Half of the limit for the body of a form, in bytes. */
const HALF_OF_LIMIT = 32_768

t.test('the largest form of the panel is at most half as large as the body limit', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const app = await startApp(t, { database })
  const rows = await database.kysely.selectFrom('permissions').select('name').execute()
  const permissions = rows.map(({ name }) => name)
  // The actor needs every permission to be offered all of them.
  const { browser } = await aPanelUser(app, database, { permissions, confirmed: true })
  const { id } = await database.kysely
    .selectFrom('roles')
    .select('id')
    .where('name', '=', 'Encoder')
    .executeTakeFirstOrThrow()
  const path = `/admin/roles/${id}`
  const page = await browser.open(path)
  const hidden = formsOf(page).find(({ action }) => action === path)?.hidden ?? {}
  const boxes = [...page.text.matchAll(/name="permissions\[\]" value="([^"]+)"/g)].map(
    ([, name]) => name ?? '',
  )
  t.strictSame(boxes.sort(), permissions.sort(), 'the form has a checkbox for every permission')

  const fields = [
    ...Object.entries(hidden),
    ...boxes.map(name => ['permissions[]', name] as const),
    ['current_password', 'x'.repeat(100)] as const,
  ]
  const form = new FormData()
  for (const [name, value] of fields) form.append(name, value)
  for (const body of [new URLSearchParams(fields as [string, string][]), form]) {
    const encoded = new Response(body)
    const payload = Buffer.from(await encoded.arrayBuffer())
    t.ok(payload.length < HALF_OF_LIMIT, `${payload.length} bytes`)
    t.comment(`${body.constructor.name}: ${payload.length} bytes`)
    const answer = await browser.bare('POST', path, {
      headers: { 'content-type': encoded.headers.get('content-type') ?? '' },
      payload,
    })
    t.equal(answer.status, 200, 'the confirmation question is shown')
    t.match(answer.text, 'name="confirmed"')
  }
})
