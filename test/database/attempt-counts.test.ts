import t, { type Test } from 'tap'
import { attemptCounts } from '#src/database/attempt-counts.ts'
import type { AttemptCounts, AttemptKeyLimit } from '#src/limits/attempt-counts.ts'
import { DAY, HOUR, MINUTE, NOW, type TestClock, testClock } from '../fixtures/clock.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`attempt counts on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    t.beforeEach(async () => {
      await database.kysely.deleteFrom('attempt_counts').execute()
    })
    await testWindows(t, database)
    await testStages(t, database)
    await testGiveBack(t, database)
    await testPruning(t, database)
  })
}

// PostgreSQL only: the embedded database has a single session.
t.test('concurrent attempts', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  await testConcurrency(t, database)
})

const findCounts = async ({ kysely }: TestDatabase) => {
  const all = await kysely.selectFrom('attempt_counts').selectAll().orderBy('key').execute()
  return Object.fromEntries(all.map(({ key, attempts, ends_at }) => [key, [attempts, ends_at - NOW]]))
}

/** Takes an attempt under keys of one stage and returns its outcome. */
const takeOne = async (counts: AttemptCounts, bounds: readonly AttemptKeyLimit[], windowMs = MINUTE) => {
  const counted = await counts.take([bounds], windowMs)
  return 'taken' in counted ? 'taken' : counted.refusal
}

/** Attempt counts with their own clock, like those of another process. */
function createCounts({ kysely }: TestDatabase, clock: TestClock = testClock()) {
  return { clock, counts: attemptCounts(kysely, clock) }
}

async function testWindows(t: Test, database: TestDatabase) {
  t.test('a window starts with the first attempt, and refused attempts do not change it', async t => {
    const { clock, counts } = createCounts(database)
    const bound = { key: 'a', max: 2 }
    const { taken } = (await counts.take([[bound]], MINUTE)) as { taken: unknown[] }
    t.strictSame(taken, [{ ...bound, attempts: 1, endsAt: NOW + MINUTE }])
    clock.advance(20_000)
    t.equal(await takeOne(counts, [bound]), 'taken')
    t.equal(await counts.isExhausted(bound, MINUTE), true)
    clock.advance(20_000)
    t.strictSame(await takeOne(counts, [bound]), { ...bound, ttl: 20_000 })
    t.strictSame(await findCounts(database), { a: [2, MINUTE] })
    clock.advance(19_999)
    t.strictSame(await takeOne(counts, [bound]), { ...bound, ttl: 1 })
    clock.advance(1)
    t.equal(await counts.isExhausted(bound, MINUTE), false)
    t.equal(await takeOne(counts, [bound]), 'taken')
    t.strictSame(await findCounts(database), { a: [1, 2 * MINUTE] }, 'a new window')
  })

  t.test('a window that another clock made too long is shortened', async t => {
    const ahead = createCounts(database, testClock(NOW + DAY))
    const { clock, counts } = createCounts(database)
    const bound = { key: 'a', max: 1 }
    await takeOne(ahead.counts, [bound])
    t.equal(await counts.isExhausted(bound, MINUTE), false, 'isUsedUp() does not shorten it')
    t.strictSame(await takeOne(counts, [bound]), { ...bound, ttl: MINUTE }, 'it stays full')
    t.strictSame(await findCounts(database), { a: [1, MINUTE] })
    clock.advance(MINUTE)
    t.equal(await takeOne(counts, [bound]), 'taken', 'until it ends')

    await takeOne(ahead.counts, [{ key: 'b', max: 2 }])
    t.equal(await takeOne(counts, [{ key: 'b', max: 2 }]), 'taken')
    t.strictSame((await findCounts(database)).b, [2, 2 * MINUTE], 'a window that is not full')
  })
}

async function testStages(t: Test, database: TestDatabase) {
  const bound = (key: string, max: number): AttemptKeyLimit => ({ key, max })

  t.test('an attempt is counted under all of its keys or none', async t => {
    const { counts } = createCounts(database)
    const take = (...bounds: AttemptKeyLimit[]) => takeOne(counts, bounds)
    t.equal(await take(bound('a', 9), bound('b', 1), bound('c', 9)), 'taken')
    t.match(await take(bound('a', 9), bound('b', 1), bound('c', 9)), { key: 'b', max: 1 })
    t.match(await take(bound('b', 1), bound('d', 9)), { key: 'b' })
    t.strictSame(await findCounts(database), { a: [1, MINUTE], b: [1, MINUTE], c: [1, MINUTE] })
  })

  t.test('a full key of a stage prevents rows of the next stage', async t => {
    const { counts } = createCounts(database)
    const [address, account] = [bound('z', 1), bound('a', 9)]
    await counts.take([[address], [bound('b', 9)]], MINUTE)
    t.match(await counts.take([[address], [account]], MINUTE), { refusal: { key: 'z' } })
    // Also when it is found full only under the lock, because its window is shortened.
    await database.kysely
      .updateTable('attempt_counts')
      .set({ ends_at: NOW + DAY })
      .where('key', '=', 'z')
      .execute()
    t.match(await counts.take([[address], [account]], MINUTE), { refusal: { key: 'z', ttl: MINUTE } })
    t.strictSame(await findCounts(database), { b: [1, MINUTE], z: [1, MINUTE] })
  })

  t.test('a refusal reports the first full stage', async t => {
    const { counts } = createCounts(database)
    const both = [[bound('z', 1)], [bound('a', 1)]]
    await counts.take(both, MINUTE)
    t.match(await counts.take(both, MINUTE), { refusal: { key: 'z' } })
  })

  t.test('a refusal writes nothing and takes no lock', async t => {
    const { counts } = createCounts(database)
    await takeOne(counts, [bound('a', 1)])
    const version = async () =>
      (await database.source.acquire().then(async session => {
        const { rows } = await session.query('select xmin::text, xmax::text from attempt_counts', [])
        await session.release()
        return rows
      })) as unknown
    const before = await version()
    await takeOne(counts, [bound('a', 1)])
    t.strictSame(await version(), before)
  })
}

async function testGiveBack(t: Test, database: TestDatabase) {
  t.test('an attempt that is given back is not counted', async t => {
    const { clock, counts } = createCounts(database)
    const bound = { key: 'a', max: 1 }
    const { taken } = (await counts.take([[bound]], HOUR)) as { taken: [never] }
    t.match(await takeOne(counts, [bound], HOUR), { key: 'a' })
    await counts.giveBack(taken[0])
    await counts.giveBack(taken[0])
    t.strictSame(await findCounts(database), { a: [0, HOUR] })
    clock.advance(MINUTE)
    t.equal(await takeOne(counts, [bound], HOUR), 'taken')
    t.strictSame(await findCounts(database), { a: [1, MINUTE + HOUR] }, 'the next attempt starts a window')
    t.match(await takeOne(counts, [bound], HOUR), { key: 'a' })
  })

  t.test('giving back does not affect a later window', async t => {
    const { clock, counts } = createCounts(database)
    const bound = { key: 'a', max: 1 }
    const { taken } = (await counts.take([[bound]], HOUR)) as { taken: [never] }
    clock.advance(HOUR)
    await takeOne(counts, [bound], HOUR)
    await counts.giveBack(taken[0])
    t.strictSame(await findCounts(database), { a: [1, 2 * HOUR] })
  })
}

async function testPruning(t: Test, database: TestDatabase) {
  t.test('rows of past windows and of impossible times are pruned', async t => {
    const { clock, counts } = createCounts(database)
    await takeOne(counts, [{ key: 'minute', max: 1 }])
    await takeOne(counts, [{ key: 'hour', max: 1 }], HOUR)
    await takeOne(createCounts(database, testClock(NOW + HOUR)).counts, [{ key: 'ahead', max: 1 }], HOUR)
    await takeOne(createCounts(database, testClock(NOW + 2 * DAY)).counts, [{ key: 'wrong', max: 1 }], HOUR)
    // By the clock of another instance.
    await takeOne(createCounts(database, testClock(NOW + MINUTE)).counts, [{ key: 'day', max: 1 }], DAY)
    clock.advance(MINUTE - 1)
    await counts.prune()
    t.strictSame(Object.keys(await findCounts(database)), ['ahead', 'day', 'hour', 'minute'])
    clock.advance(1)
    await counts.prune()
    t.strictSame(Object.keys(await findCounts(database)), ['ahead', 'day', 'hour'])
  })
}

async function testConcurrency(t: Test, database: TestDatabase) {
  const { counts } = createCounts(database)
  const clear = () => database.kysely.deleteFrom('attempt_counts').execute()

  t.test('exactly as many attempts as the limit are taken', async t => {
    await clear()
    const outcomes = await Promise.all(
      Array.from({ length: 300 }, (_, n) =>
        takeOne(counts, [
          { key: `own ${n}`, max: 9 },
          { key: 'shared', max: 50 },
        ]),
      ),
    )
    t.equal(outcomes.filter(outcome => outcome === 'taken').length, 50)
    t.strictSame((await findCounts(database)).shared, [50, MINUTE])
  })

  t.test('keys in different order do not deadlock', async t => {
    await clear()
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'].map(key => ({ key, max: 1000 }))
    const outcomes = await Promise.all(
      Array.from({ length: 400 }, (_, n) => {
        const turned = [...keys.slice(n % 6), ...keys.slice(0, n % 6)]
        return takeOne(counts, n % 2 === 0 ? turned : turned.reverse())
      }),
    )
    t.equal(outcomes.filter(outcome => outcome === 'taken').length, 400)
    t.strictSame(Object.values(await findCounts(database)), Array(6).fill([400, MINUTE]))
  })

  t.test('concurrent pruning does not deadlock', async t => {
    await clear()
    const { clock, counts } = createCounts(database)
    const bounds = ['a', 'b', 'c'].map(key => ({ key, max: 10 }))
    for (let round = 0; round < 20; round += 1) {
      clock.advance(MINUTE)
      const outcomes = await Promise.all(
        Array.from({ length: 30 }, async (_, n) => {
          if (n % 5 === 0) await counts.prune()
          return takeOne(counts, bounds)
        }),
      )
      t.equal(outcomes.filter(outcome => outcome === 'taken').length, 10)
    }
  })
}
