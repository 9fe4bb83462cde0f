import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { millisToSeconds } from '#src/auth/time.ts'
import { addRestriction, ensureFullBan } from '#src/database/restrictions.ts'
import { deleteToken } from '#src/database/token-endings.ts'
import { DAY, HOUR, MINUTE, NOW, testClock } from '../fixtures/clock.ts'
import { startMailing } from '../fixtures/mailing.ts'
import { aToken, aUser, type TestUser, USER_TYPE } from '../fixtures/users.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../support/databases.ts'
import { startMailServer } from '../support/mail-server.ts'
import { until } from '../support/until.ts'

const YEAR = 365 * DAY

for (const engine of ENGINES) {
  t.test(`reminders of expiring tokens, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await testReminders(t, database)
    await testExclusions(t, database)
    await testSingleMail(t, database)
    if (engine === 'postgres') await testClaims(t, database)
  })
}

/** Adds a token that was used recently, unless set otherwise. */
async function aUsedToken(
  { kysely }: TestDatabase,
  user: TestUser,
  {
    name,
    usedAt = NOW - DAY,
    ...dates
  }: { name: string; expiresAt?: number | null; createdAt?: number; usedAt?: number | null },
): Promise<number> {
  const { tokenId } = await aToken({ kysely }, user.id, { createdAt: NOW - 30 * DAY, ...dates })
  await kysely
    .updateTable('personal_access_tokens')
    .set({ name, last_used_at: usedAt === null ? null : millisToSeconds(usedAt) })
    .where('id', '=', tokenId)
    .execute()
  return tokenId
}

/** A clock that counts the searches that were scheduled: one more than were done. */
function searchClock() {
  const clock = testClock()
  const { schedule } = clock
  let planned = 0
  clock.schedule = (ms, act) => {
    if (ms === MINUTE || ms === HOUR) planned += 1
    return schedule(ms, act)
  }
  return Object.assign(clock, { planned: () => planned })
}

type SearchClock = ReturnType<typeof searchClock>

/** Advances the clock and waits until the search is done and the next one is scheduled. */
async function advanceToSearch(clock: SearchClock, ms: number) {
  const before = clock.planned()
  clock.advance(ms)
  await until(() => clock.planned() > before)
}

const claims = ({ kysely }: TestDatabase) =>
  kysely.selectFrom('token_reminders').selectAll().orderBy('token_id').orderBy('days').execute()

/** Deletes all users' tokens and claims, since a search covers all users. */
async function clear({ kysely }: TestDatabase) {
  await kysely.deleteFrom('personal_access_tokens').execute()
  await kysely.deleteFrom('token_reminders').execute()
}

async function testReminders(t: Test, database: TestDatabase) {
  await t.test('a mail is sent a week and a day before tokens of a user expire', async t => {
    const mails = await startMailServer(t)
    const clock = searchClock()
    const { app } = await startMailing(t, database, { mails, clock })
    const user = await aUser(database)
    const week = await aUsedToken(database, user, { name: 'week', expiresAt: NOW + 6 * DAY })
    const day = await aUsedToken(database, user, { name: 'day', expiresAt: NOW + 20 * HOUR })
    // SANCTUM_EXPIRATION: a year after its creation.
    const old = await aUsedToken(database, user, {
      name: 'old',
      createdAt: NOW - YEAR + 3 * DAY,
      expiresAt: NOW + YEAR,
    })
    await aUsedToken(database, user, { name: 'later', expiresAt: NOW + 8 * DAY })
    await advanceToSearch(clock, MINUTE)
    const mail = await mails.next()
    t.match(mail.to, [{ name: user.name, address: user.email }])
    t.equal(mail.subject, '3 tokens of yours for AnimeThemes end soon')
    t.match(
      mail.text,
      /- “day” ends at 2026-03-02 08:00 UTC\n- “old” ends at 2026-03-04 12:00 UTC\n- “week” ends at 2026-03-07 12:00 UTC/,
    )
    t.match(mail.html, /<li>“day” ends at/)
    t.match(mail.text, /^http:\/\/localhost:8000\/admin$/m)
    t.strictSame(
      await claims(database),
      [
        { token_id: week, days: 7 },
        { token_id: day, days: 1 },
        { token_id: old, days: 7 },
      ].toSorted((a, b) => a.token_id - b.token_id),
    )

    await advanceToSearch(clock, HOUR)
    // The search that was due, and the next one.
    await advanceToSearch(clock, 2 * DAY)
    await advanceToSearch(clock, HOUR)
    const second = await mails.next()
    t.equal(second.subject, '2 tokens of yours for AnimeThemes end soon')
    t.match(second.text, /“old” ends at/, 'a day before')
    t.match(second.text, /“later” ends at/, 'a week before')
    await app.close()
    t.equal(mails.received.length, 2)

    await deleteToken(database.kysely, String(week))
    const { app: pruning } = await startMailing(t, database, { mails })
    await pruning.lastUse.prune()
    t.notOk((await claims(database)).some(({ token_id }) => token_id === week))
    await clear(database)
  })
}

async function testExclusions(t: Test, database: TestDatabase) {
  await t.test('unused tokens and users who cannot log in get no reminder', async t => {
    const clock = searchClock()
    const { app, mails } = await startMailing(t, database, { clock })
    const user = await aUser(database)
    const expiresAt = NOW + 3 * DAY
    await aUsedToken(database, user, { name: 'never used', expiresAt, usedAt: null })
    await aUsedToken(database, user, { name: 'not for 90 days', expiresAt, usedAt: NOW - 91 * DAY })
    await aUsedToken(database, user, { name: 'over', expiresAt: NOW - 1000 })
    await aUsedToken(database, user, { name: 'without end', createdAt: NOW })
    await aUsedToken(database, user, { name: 'made for so long alone', expiresAt, createdAt: NOW - DAY })
    const unverified = await aUser(database, { verified: false })
    await aUsedToken(database, unverified, { name: 'unverified', expiresAt })
    const deleted = await aUser(database)
    await aUsedToken(database, deleted, { name: 'deleted', expiresAt })
    const banned = await aUser(database)
    await aUsedToken(database, banned, { name: 'banned', expiresAt })
    const replaced = await aUsedToken(database, user, { name: 'replaced', expiresAt: NOW + 2 * HOUR })
    const other = await aToken(database, user.id, { userType: 'App\\Models\\Robot', expiresAt })
    await database.kysely
      .updateTable('personal_access_tokens')
      .set({ last_used_at: millisToSeconds(NOW) })
      .where('id', '=', other.tokenId)
      .execute()
    const { token } = await database.kysely
      .selectFrom('personal_access_tokens')
      .select('token')
      .where('id', '=', replaced)
      .executeTakeFirstOrThrow()
    await database.kysely.insertInto('token_successors').values({ digest: token, token_id: 1 }).execute()
    await database.kysely
      .updateTable('users')
      .set({ deleted_at: '2026-02-28 00:00:00' })
      .where('id', '=', deleted.id)
      .execute()
    const ban = { kind: 'sanction', id: await ensureFullBan(database.kysely, NOW) } as const
    const holder = { userId: banned.id, types: [USER_TYPE] as const }
    await addRestriction(database.kysely, holder, ban, {
      reason: null,
      expiresAt: null,
      moderatorId: user.id,
      now: NOW,
    })
    await advanceToSearch(clock, MINUTE)
    await app.close()
    t.equal(mails.received.length, 0)
    t.strictSame(await claims(database), [], 'nothing is claimed')
    await clear(database)
  })

  await t.test('with SANCTUM_EXPIRATION=null only expires_at counts', async t => {
    const clock = searchClock()
    const environment = { SANCTUM_EXPIRATION: 'null' }
    const { app, mails } = await startMailing(t, database, { clock, environment })
    const user = await aUser(database)
    await aUsedToken(database, user, { name: 'old', createdAt: NOW - YEAR + 3 * DAY })
    await aUsedToken(database, user, {
      name: 'own date',
      createdAt: NOW - 2 * YEAR,
      expiresAt: NOW + 3 * DAY,
    })
    await advanceToSearch(clock, MINUTE)
    t.match((await mails.next()).text, /“own date”/)
    await app.close()
    t.equal(mails.received.length, 1)
    await clear(database)
  })

  await t.test('no search if the kind is off', async t => {
    const clock = searchClock()
    await startMailing(t, database, { clock, environment: { MAIL_SECURITY_EVENTS: 'new-login' } })
    t.equal(clock.planned(), 0)
  })
}

async function testSingleMail(t: Test, database: TestDatabase) {
  await t.test('fifty tokens send one mail over two concurrent instances', async t => {
    const mails = await startMailServer(t)
    const clocks = [searchClock(), searchClock()]
    const { app: one } = await startMailing(t, database, { mails, clock: clocks[0] })
    const { app: other } = await startMailing(t, database, { mails, clock: clocks[1] })
    const users = [await aUser(database), await aUser(database)]
    for (const user of users) {
      for (let n = 0; n < 50; n += 1)
        await aUsedToken(database, user, { name: `t${n}`, expiresAt: NOW + 5 * DAY })
    }
    await Promise.all(clocks.map(clock => advanceToSearch(clock, MINUTE)))
    await Promise.all([one.close(), other.close()])
    t.strictSame(
      mails.received.map(({ to }) => to?.[0]?.address).sort(),
      users.map(({ email }) => email).sort(),
    )
    for (const { subject, text } of mails.received) {
      t.equal(subject, '50 tokens of yours for AnimeThemes end soon')
      t.match(text, /and 30 more/)
    }
    await clear(database)
  })
}

/** Tests that need more than one database session, or take long: PostgreSQL only. */
async function testClaims(t: Test, database: TestDatabase) {
  await t.test('a concurrent claim of the same tokens sends nothing', async t => {
    const clock = searchClock()
    const { app, mails } = await startMailing(t, database, { clock })
    const user = await aUser(database)
    const id = await aUsedToken(database, user, { name: 'taken', expiresAt: NOW + 5 * DAY })
    const isWaiting = async () => {
      const { rows } = await sql<{ waits: boolean }>`
        select exists (
          select from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock' and query like '%due as%'
        ) as waits`.execute(database.kysely)
      return rows[0]?.waits === true
    }
    let looked: Promise<void> | undefined
    await database.kysely.transaction().execute(async transaction => {
      await transaction.insertInto('token_reminders').values({ token_id: id, days: 7 }).execute()
      looked = advanceToSearch(clock, MINUTE)
      await until(isWaiting)
    })
    await looked
    await app.close()
    t.equal(mails.received.length, 0)
    await clear(database)
  })

  await t.test('reminders are sent to a hundred users per minute', async t => {
    const clock = searchClock()
    const { app, mails } = await startMailing(t, database, { clock })
    for (let n = 0; n < 103; n += 1) {
      await aUsedToken(database, await aUser(database), { name: 't', expiresAt: NOW + 5 * DAY })
    }
    await advanceToSearch(clock, MINUTE)
    await until(() => mails.received.length === 100)
    await advanceToSearch(clock, MINUTE)
    await until(() => mails.received.length === 103)
    await app.close()
    t.equal(new Set(mails.received.map(({ to }) => to?.[0]?.address)).size, 103)
  })
}
