import { sql } from 'kysely'
import t from 'tap'
import { DAY, MINUTE, NOW } from '../fixtures/clock.ts'
import { commandLine } from '../fixtures/command-line.ts'
import { aToken, aUser } from '../fixtures/users.ts'

type CommandLine = Awaited<ReturnType<typeof commandLine>>

/** Adds a token that others issued. */
async function addIssued({ database }: CommandLine, userId: number, name: string, issuedBy: number) {
  const { tokenId } = await aToken(database, userId)
  const row = database.kysely.updateTable('personal_access_tokens').where('id', '=', tokenId)
  await row.set({ name, issued_by: issuedBy }).execute()
  return tokenId
}

const idsOf = async ({ database }: CommandLine) => {
  const rows = await database.kysely.selectFrom('personal_access_tokens').select('id').orderBy('id').execute()
  return rows.map(({ id }) => id)
}

const revocations = async ({ database }: CommandLine) => {
  const rows = await database.kysely
    .selectFrom('account_events')
    .select('details')
    .where('event', '=', 'token revoked')
    .orderBy('id')
    .execute()
  return rows.map(({ details }) => JSON.parse(details))
}

t.test('token revoke ends what the token issued, and says how many', async t => {
  const line = await commandLine(t)
  const user = await aUser(line.database)
  const child = await addIssued(line, user.id, 'child', user.tokenId)
  const grandchild = await addIssued(line, user.id, 'grandchild', child)
  const { out } = await line.command('token', 'revoke', String(child))
  t.strictSame(out, [`Revoked token ${child}, and 1 that it or its descendants issued.`])
  t.strictSame(await idsOf(line), [user.tokenId])
  t.strictSame(await revocations(line), [
    {
      which: child,
      count: 2,
      tokens: `child (${child}), grandchild (${grandchild})`,
      by: 'command line',
    },
  ])
})

t.test('token revoke --all names what ended', async t => {
  const line = await commandLine(t)
  const user = await aUser(line.database)
  const other = await aUser(line.database)
  const child = await addIssued(line, user.id, 'child', user.tokenId)
  const { out } = await line.command('token', 'revoke', '--all', '--email', user.email)
  t.strictSame(out, [`Revoked 2 tokens of ${user.email}.`])
  t.strictSame(await idsOf(line), [other.tokenId])
  t.match(await revocations(line), [
    { which: 'all', count: 2, tokens: `test (${user.tokenId}), child (${child})` },
  ])
})

t.test('token rotate keeps issuer and children', async t => {
  const line = await commandLine(t)
  const user = await aUser(line.database)
  const middle = await addIssued(line, user.id, 'middle', user.tokenId)
  await addIssued(line, user.id, 'child', middle)
  const { out } = await line.command('token', 'rotate', String(middle))
  const successor = Number(out[0]?.split('|')[0])
  const rows = await line.database.kysely
    .selectFrom('personal_access_tokens')
    .select(['name', 'issued_by'])
    .orderBy('name')
    .execute()
  t.strictSame(rows, [
    { name: 'child', issued_by: successor },
    { name: 'middle', issued_by: user.tokenId },
    { name: 'test', issued_by: null },
  ])
})

t.test('token prune leaves the children of a token to its issuer', async t => {
  const line = await commandLine(t)
  const user = await aUser(line.database)
  const middle = await addIssued(line, user.id, 'middle', user.tokenId)
  const child = await addIssued(line, user.id, 'child', middle)
  await line.database.kysely
    .updateTable('personal_access_tokens')
    .set({ expires_at: '2026-02-01 00:00:00' })
    .where('id', '=', middle)
    .execute()
  await line.command('token', 'prune')
  t.strictSame(await idsOf(line), [user.tokenId, child])
  await line.command('token', 'revoke', String(user.tokenId))
  t.strictSame(await idsOf(line), [])
})

t.test('token create issues for a user whose e-mail address is not verified', async t => {
  const line = await commandLine(t)
  const user = await aUser(line.database, { verified: false })
  const { out, err, error } = await line.command(
    ...['token', 'create', '--email', user.email, '--name', 'x', '--ability', 'reed:me'],
  )
  t.strictSame([out.length, error], [1, null])
  t.match(err, [/^--ability reed:me: nothing here asks for it/])
})

t.test('token create waits for the lock of the user', async t => {
  const line = await commandLine(t)
  const user = await aUser(line.database)
  let isDone = false
  const created = await line.database.kysely.transaction().execute(async transaction => {
    await sql`select from users where id = ${user.id} for no key update`.execute(transaction)
    const created = line.command('token', 'create', '--email', user.email, '--name', 'x').finally(() => {
      isDone = true
    })
    // On another connection: a transaction sees pg_stat_activity as it was when it first read that.
    const isBlocked = async () => {
      const { rows } = await sql`
        select from pg_stat_activity
        where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0`.execute(
        line.database.kysely,
      )
      return rows.length > 0
    }
    while (!isDone && !(await isBlocked())) await new Promise(setImmediate)
    t.strictSame(await idsOf(line), [user.tokenId])
    // In an object, since the transaction would wait for a promise.
    return { created }
  })
  t.equal((await created.created).error, null)
  t.equal((await idsOf(line)).length, 2)
})

t.test('token list tells when tokens end, and which have', async t => {
  const ends = async (settings: Record<string, string>) => {
    const line = await commandLine(t, settings)
    const { id, email } = await aUser(line.database)
    for (const expiresAt of [NOW + DAY, NOW - MINUTE]) await aToken(line.database, id, { expiresAt })
    await aToken(line.database, id, { createdAt: NOW - 366 * DAY })
    const { out } = await line.command('token', 'list', '--email', email)
    return out.slice(1).map(row => row.split(/ {2,}/)[4])
  }
  t.strictSame(await ends({}), [
    '2027-03-01 12:00:00',
    '2026-03-02 12:00:00',
    '2026-03-01 11:59:00 (ended)',
    '2026-02-28 12:00:00 (ended)',
  ])
  t.strictSame(await ends({ SANCTUM_EXPIRATION: 'null' }), [
    'never',
    '2026-03-02 12:00:00',
    '2026-03-01 11:59:00 (ended)',
    'never',
  ])
  t.strictSame(await ends({ SANCTUM_EXPIRATION: 'null', SANCTUM_IDLE_EXPIRATION: '60' }), [
    '2026-03-01 13:00:00',
    '2026-03-01 13:00:00',
    '2026-03-01 11:59:00 (ended)',
    '2025-02-28 13:00:00 (ended)',
  ])
})
