import t from 'tap'
import { get, startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'
import { RawClient } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

t.test('a listener that fails neither ends the process nor keeps others from releasing', async t => {
  const app = await startApp(t, { database })
  const ended: string[] = []
  app.onRequestEnd(() => {
    throw new Error('a listener failed')
  })
  app.onRequestEnd(({ url }, _reply, status) => ended.push(`${url} ${status}`))

  const client = await RawClient.connect(t, app)
  client.head('GET /health/live')
  t.equal((await client.answer()).status, 200)
  await until(async () => ended.length === 1)
  t.equal((await get(app, '/api/me')).status, 401, 'with app.inject() as well')
  await until(async () => ended.length === 2)
  t.strictSame(ended, ['/health/live 200', '/api/me 401'])
  t.match(
    app.logged.filter(({ msg }) => msg === 'the end of a request failed'),
    [{ err: { message: 'a listener failed' } }, {}],
  )
})
