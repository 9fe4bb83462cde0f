import t from 'tap'
import { ensureFullBan } from '#src/database/restrictions.ts'
import { NOW } from '../fixtures/clock.ts'
import { createDatabase, ENGINES } from '../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`the sanction that prohibits everything, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const { kysely } = database
    const version = async () =>
      (await kysely.selectFrom('permission_versions').select('version').executeTakeFirstOrThrow()).version
    const covered = async (id: number) =>
      (
        await kysely
          .selectFrom('sanction_prohibition')
          .select('prohibition_id')
          .where('sanction_id', '=', id)
          .execute()
      ).length
    const all = async () => (await kysely.selectFrom('prohibitions').select('id').execute()).length

    const id = await ensureFullBan(kysely, NOW)
    t.equal(await covered(id), await all())
    const before = await version()
    t.equal(await ensureFullBan(kysely, NOW), id)
    t.equal(await version(), before, 'a complete sanction does not change the permission version')
    await kysely.insertInto('prohibitions').values({ name: 'view nothing' }).execute()
    t.equal(await ensureFullBan(kysely, NOW), id)
    t.equal(await covered(id), await all(), 'new prohibitions are added')
  })
}
