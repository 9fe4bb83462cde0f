import t, { type Test } from 'tap'
import { attemptCounts } from '#src/database/attempt-counts.ts'
import type { AttemptCounts, Bound } from '#src/limits/attempt-counts.ts'
import { DAY, MINUTE, NOW, type TestClock, testClock } from '../fixtures/clock.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../support/databases.ts'

const HOUR = 60 * MINUTE

for (const engine of ENGINES) {
  t.test(`counts of attempts on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    t.beforeEach(async () => {
      await database.kysely.deleteFrom('attempt_counts').execute()
    })
    await windows(t, database)
    await stages(t, database)
    await givingBack(t, database)
    await pruning(t, database)
  })
}

// The embedded database has one session: there nothing comes between the statements of a transaction.
t.test('counts of attempts from many connections at once', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  await concurrency(t, database)
})

const rows = async ({ kysely }: TestDatabase) => {
  const all = await kysely.selectFrom('attempt_counts').selectAll().orderBy('key').execute()
  return Object.fromEntries(all.map(({ key, attempts, ends_at }) => [key, [attempts, ends_at - NOW]]))
}

/** Takes an attempt under keys of one stage, and says what came of it. */
const takeOne = async (counts: AttemptCounts, bounds: readonly Bound[], windowMs = MINUTE) => {
  const counted = await counts.take([bounds], windowMs)
  return 'taken' in counted ? 'taken' : counted.refusal
}

/** Counts by a clock of their own, as those of another process. */
function ofProcess({ kysely }: TestDatabase, clock: TestClock = testClock()) {
  return { clock, counts: attemptCounts(kysely, clock) }
}

async function windows(t: Test, database: TestDatabase) {
  t.test('begin with the first attempt, and are neither extended nor filled by refused ones', async t => {
    const { clock, counts } = ofProcess(database)
    const bound = { key: 'a', max: 2 }
    const { taken } = (await counts.take([[bound]], MINUTE)) as { taken: unknown[] }
    t.strictSame(taken, [{ ...bound, attempts: 1, endsAt: NOW + MINUTE }])
    clock.advance(20_000)
    t.equal(await takeOne(counts, [bound]), 'taken')
    t.equal(await counts.isUsedUp(bound, MINUTE), true)
    clock.advance(20_000)
    t.strictSame(await takeOne(counts, [bound]), { ...bound, ttl: 20_000 })
    t.strictSame(await rows(database), { a: [2, MINUTE] })
    clock.advance(19_999)
    t.strictSame(await takeOne(counts, [bound]), { ...bound, ttl: 1 })
    clock.advance(1)
    t.equal(await counts.isUsedUp(bound, MINUTE), false)
    t.equal(await takeOne(counts, [bound]), 'taken')
    t.strictSame(await rows(database), { a: [1, 2 * MINUTE] }, 'and then begin anew')
  })

  t.test('that another clock made too long are cut to their length', async t => {
    const ahead = ofProcess(database, testClock(NOW + DAY))
    const { clock, counts } = ofProcess(database)
    const bound = { key: 'a', max: 1 }
    await takeOne(ahead.counts, [bound])
    t.equal(await counts.isUsedUp(bound, MINUTE), false, 'which only an attempt does')
    t.strictSame(await takeOne(counts, [bound]), { ...bound, ttl: MINUTE }, 'and stay full')
    t.strictSame(await rows(database), { a: [1, MINUTE] })
    clock.advance(MINUTE)
    t.equal(await takeOne(counts, [bound]), 'taken', 'until they end on time')

    await takeOne(ahead.counts, [{ key: 'b', max: 2 }])
    t.equal(await takeOne(counts, [{ key: 'b', max: 2 }]), 'taken')
    t.strictSame((await rows(database)).b, [2, 2 * MINUTE], 'as does one with room')
  })
}

async function stages(t: Test, database: TestDatabase) {
  const bound = (key: string, max: number): Bound => ({ key, max })

  t.test('an attempt is counted under all keys or none', async t => {
    const { counts } = ofProcess(database)
    const take = (...bounds: Bound[]) => takeOne(counts, bounds)
    t.equal(await take(bound('a', 9), bound('b', 1), bound('c', 9)), 'taken')
    t.match(await take(bound('a', 9), bound('b', 1), bound('c', 9)), { key: 'b', max: 1 })
    t.match(await take(bound('b', 1), bound('d', 9)), { key: 'b' })
    t.strictSame(await rows(database), { a: [1, MINUTE], b: [1, MINUTE], c: [1, MINUTE] })
  })

  t.test('a full key of one stage keeps those of the next from getting a row', async t => {
    const { counts } = ofProcess(database)
    const [address, account] = [bound('z', 1), bound('a', 9)]
    await counts.take([[address], [bound('b', 9)]], MINUTE)
    t.match(await counts.take([[address], [account]], MINUTE), { refusal: { key: 'z' } })
    // Also when it is found to be full under the lock alone, as its window is cut.
    await database.kysely
      .updateTable('attempt_counts')
      .set({ ends_at: NOW + DAY })
      .where('key', '=', 'z')
      .execute()
    t.match(await counts.take([[address], [account]], MINUTE), { refusal: { key: 'z', ttl: MINUTE } })
    t.strictSame(await rows(database), { b: [1, MINUTE], z: [1, MINUTE] })
  })

  t.test('the first stage that is full is told of', async t => {
    const { counts } = ofProcess(database)
    const both = [[bound('z', 1)], [bound('a', 1)]]
    await counts.take(both, MINUTE)
    t.match(await counts.take(both, MINUTE), { refusal: { key: 'z' } })
  })

  t.test('a refusal writes nothing and takes no lock', async t => {
    const { counts } = ofProcess(database)
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

async function givingBack(t: Test, database: TestDatabase) {
  t.test('what is given back is not counted, down to nothing', async t => {
    const { clock, counts } = ofProcess(database)
    const bound = { key: 'a', max: 1 }
    const { taken } = (await counts.take([[bound]], HOUR)) as { taken: [never] }
    t.match(await takeOne(counts, [bound], HOUR), { key: 'a' })
    await counts.giveBack(taken[0])
    await counts.giveBack(taken[0])
    t.strictSame(await rows(database), { a: [0, HOUR] })
    clock.advance(MINUTE)
    t.equal(await takeOne(counts, [bound], HOUR), 'taken')
    t.strictSame(await rows(database), { a: [1, MINUTE + HOUR] }, 'and the next one begins a window')
    t.match(await takeOne(counts, [bound], HOUR), { key: 'a' })
  })

  t.test('and never in a later window', async t => {
    const { clock, counts } = ofProcess(database)
    const bound = { key: 'a', max: 1 }
    const { taken } = (await counts.take([[bound]], HOUR)) as { taken: [never] }
    clock.advance(HOUR)
    await takeOne(counts, [bound], HOUR)
    await counts.giveBack(taken[0])
    t.strictSame(await rows(database), { a: [1, 2 * HOUR] })
  })
}

async function pruning(t: Test, database: TestDatabase) {
  t.test('rows go when their windows are over, and when no clock could have made them', async t => {
    const { clock, counts } = ofProcess(database)
    await takeOne(counts, [{ key: 'minute', max: 1 }])
    await takeOne(counts, [{ key: 'hour', max: 1 }], HOUR)
    await takeOne(ofProcess(database, testClock(NOW + HOUR)).counts, [{ key: 'ahead', max: 1 }], HOUR)
    await takeOne(ofProcess(database, testClock(NOW + DAY)).counts, [{ key: 'wrong', max: 1 }], HOUR)
    clock.advance(MINUTE - 1)
    await counts.prune()
    t.strictSame(Object.keys(await rows(database)), ['ahead', 'hour', 'minute'])
    clock.advance(1)
    await counts.prune()
    t.strictSame(Object.keys(await rows(database)), ['ahead', 'hour'])
  })
}

async function concurrency(t: Test, database: TestDatabase) {
  const { counts } = ofProcess(database)
  const clear = () => database.kysely.deleteFrom('attempt_counts').execute()

  t.test('let through exactly as many as the limit', async t => {
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
    t.strictSame((await rows(database)).shared, [50, MINUTE])
  })

  t.test('do not deadlock, in whichever order their keys are named', async t => {
    await clear()
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'].map(key => ({ key, max: 1000 }))
    const outcomes = await Promise.all(
      Array.from({ length: 400 }, (_, n) => {
        const turned = [...keys.slice(n % 6), ...keys.slice(0, n % 6)]
        return takeOne(counts, n % 2 === 0 ? turned : turned.reverse())
      }),
    )
    t.equal(outcomes.filter(outcome => outcome === 'taken').length, 400)
    t.strictSame(Object.values(await rows(database)), Array(6).fill([400, MINUTE]))
  })

  t.test('nor when rows are pruned meanwhile, whose next windows begin', async t => {
    await clear()
    const { clock, counts } = ofProcess(database)
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
