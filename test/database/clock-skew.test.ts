import t from 'tap'
import { measureClockSkew } from '#src/database/clock-skew.ts'
import { HOUR } from '../fixtures/clock.ts'
import { createDatabase, ENGINES } from '../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`the difference between the clocks of server and database, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const skewOf = async (offset: number) => {
      const skew = await measureClockSkew(
        database.kysely,
        () => Date.now() + offset,
        () => performance.now(),
      )
      return Math.round(skew / 60_000)
    }
    t.equal(await skewOf(0), 0)
    t.equal(await skewOf(HOUR), 60)
    t.equal(await skewOf(-HOUR), -60)
  })
}
