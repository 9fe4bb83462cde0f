import { sql } from 'kysely'
import t from 'tap'
import { migrate } from '#src/database/migrate.ts'
import { get, startApp } from '../../support/app.ts'
import { createDatabase } from '../../support/databases.ts'

t.test('health', async t => {
  await t.test('/health/ready is 503 until all migrations have run', async t => {
    const empty = await createDatabase(t, 'postgres', { empty: true })
    t.teardown(() => empty.close())
    const app = await startApp(t, { database: empty })
    t.equal((await get(app, '/health/live')).status, 200)
    const before = await get(app, '/health/ready')
    t.equal(before.status, 503)
    t.equal(before.headers['retry-after'], '5')
    const request = await get(app, '/api/me', '1|x')
    t.equal(request.status, 503, 'a token is not refused as invalid before')
    await migrate(empty.migrations)
    app.clock.advance(1_001)
    t.strictSame((await get(app, '/health/ready')).json, { status: 'ready' })
    await sql`delete from kysely_migration where name = (select max(name) from kysely_migration)`.execute(
      empty.kysely,
    )
    app.clock.advance(1_001)
    t.equal((await get(app, '/health/ready')).status, 503, 'one missing migration')
  })
})
