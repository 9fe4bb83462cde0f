import { sql } from 'kysely'
import t from 'tap'
import type { Database } from '#src/database/connect.ts'
import { DAY, MINUTE, NOW } from '../fixtures/clock.ts'
import { commandLine } from '../fixtures/command-line.ts'
import { aToken, aUser, USER_TYPE } from '../fixtures/users.ts'
import { get, startApp } from '../support/app.ts'

const { database, command } = await commandLine(t)

/** Adds a token that was issued by another token. */
async function addIssuedToken(userId: number, name: string, issuedBy: number) {
  const { tokenId } = await aToken(database, userId)
  const row = database.kysely.updateTable('personal_access_tokens').where('id', '=', tokenId)
  await row.set({ name, issued_by: issuedBy }).execute()
  return tokenId
}

const tokenIdsOf = async ({ kysely }: Database, ...userIds: number[]) => {
  const rows = await kysely
    .selectFrom('personal_access_tokens')
    .select('id')
    .where('tokenable_id', 'in', userIds)
    .orderBy('id')
    .execute()
  return rows.map(({ id }) => id)
}

const revocationsOf = async (userId: number) => {
  const rows = await database.kysely
    .selectFrom('account_events')
    .select('details')
    .where('event', '=', 'token revoked')
    .where('user_id', '=', userId)
    .orderBy('id')
    .execute()
  return rows.map(({ details }) => JSON.parse(details))
}

t.test('token revoke also revokes the tokens that the token issued', async t => {
  const user = await aUser(database)
  const child = await addIssuedToken(user.id, 'child', user.tokenId)
  const grandchild = await addIssuedToken(user.id, 'grandchild', child)
  const { out } = await command('token', 'revoke', String(child))
  t.strictSame(out, [`Revoked token ${child}, and 1 issued by it or its descendants.`])
  t.strictSame(await tokenIdsOf(database, user.id), [user.tokenId])
  t.strictSame(await revocationsOf(user.id), [
    {
      which: child,
      count: 2,
      tokens: `child (${child}), grandchild (${grandchild})`,
      by: 'command line',
    },
  ])
})

t.test('token revoke --all records the revoked tokens', async t => {
  const user = await aUser(database)
  const other = await aUser(database)
  const child = await addIssuedToken(user.id, 'child', user.tokenId)
  const { out } = await command('token', 'revoke', '--all', '--email', user.email)
  t.strictSame(out, [`Revoked 2 tokens of ${user.email}.`])
  t.strictSame(await tokenIdsOf(database, user.id, other.id), [other.tokenId])
  t.match(await revocationsOf(user.id), [
    { which: 'all', count: 2, tokens: `test (${user.tokenId}), child (${child})` },
  ])
})

t.test('token rotate keeps the issuer and the issued tokens', async t => {
  const user = await aUser(database)
  const middle = await addIssuedToken(user.id, 'middle', user.tokenId)
  await addIssuedToken(user.id, 'child', middle)
  const { out } = await command('token', 'rotate', String(middle))
  const successor = Number(out[0]?.split('|')[0])
  const rows = await database.kysely
    .selectFrom('personal_access_tokens')
    .select(['name', 'issued_by'])
    .where('tokenable_id', '=', user.id)
    .orderBy('name')
    .execute()
  t.strictSame(rows, [
    { name: 'child', issued_by: successor },
    { name: 'middle', issued_by: user.tokenId },
    { name: 'test', issued_by: null },
  ])
})

t.test('token prune passes issued tokens to the issuer of the pruned token', async t => {
  const user = await aUser(database)
  const middle = await addIssuedToken(user.id, 'middle', user.tokenId)
  const child = await addIssuedToken(user.id, 'child', middle)
  await database.kysely
    .updateTable('personal_access_tokens')
    .set({ expires_at: '2026-02-01 00:00:00' })
    .where('id', '=', middle)
    .execute()
  await command('token', 'prune')
  t.strictSame(await tokenIdsOf(database, user.id), [user.tokenId, child])
  await command('token', 'revoke', String(user.tokenId))
  t.strictSame(await tokenIdsOf(database, user.id), [])
})

t.test('token create works for a user with an unverified address', async t => {
  const user = await aUser(database, { verified: false })
  const { out, err, error } = await command(
    ...['token', 'create', '--email', user.email, '--name', 'x', '--ability', 'reed:me'],
  )
  t.strictSame([out.length, error], [1, null])
  t.match(err, [/^--ability reed:me: no route requires it/])
})

t.test('token create waits for the lock of the user', async t => {
  const user = await aUser(database)
  let isDone = false
  const created = await database.kysely.transaction().execute(async transaction => {
    await sql`select from users where id = ${user.id} for no key update`.execute(transaction)
    const created = command('token', 'create', '--email', user.email, '--name', 'x').finally(() => {
      isDone = true
    })
    // On another connection, since a transaction sees a snapshot of pg_stat_activity.
    const isBlocked = async () => {
      const { rows } = await sql`
        select from pg_stat_activity
        where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0`.execute(
        database.kysely,
      )
      return rows.length > 0
    }
    while (!isDone && !(await isBlocked())) await new Promise(setImmediate)
    t.strictSame(await tokenIdsOf(database, user.id), [user.tokenId])
    // In an object, since the transaction would await a promise.
    return { created }
  })
  t.equal((await created.created).error, null)
  t.equal((await tokenIdsOf(database, user.id)).length, 2)
})

t.test('token list shows when tokens expire, and which are expired', async t => {
  const listExpiries = async (settings: Record<string, string>) => {
    const { database, command } = await commandLine(t, settings)
    const { id, email } = await aUser(database)
    for (const expiresAt of [NOW + DAY, NOW - MINUTE]) await aToken(database, id, { expiresAt })
    await aToken(database, id, { createdAt: NOW - 366 * DAY })
    const { out } = await command('token', 'list', '--email', email)
    return out.slice(1).map(row => row.split(/ {2,}/)[4])
  }
  t.strictSame(await listExpiries({}), [
    '2027-03-01 12:00:00',
    '2026-03-02 12:00:00',
    '2026-03-01 11:59:00 (ended)',
    '2026-02-28 12:00:00 (ended)',
  ])
  t.strictSame(await listExpiries({ SANCTUM_EXPIRATION: 'null' }), [
    'never',
    '2026-03-02 12:00:00',
    '2026-03-01 11:59:00 (ended)',
    'never',
  ])
  t.strictSame(await listExpiries({ SANCTUM_EXPIRATION: 'null', SANCTUM_IDLE_EXPIRATION: '60' }), [
    '2026-03-01 13:00:00',
    '2026-03-01 13:00:00',
    '2026-03-01 11:59:00 (ended)',
    '2025-02-28 13:00:00 (ended)',
  ])
})

t.test('token create prints a token with the configured prefix', async t => {
  const { database, command } = await commandLine(t, { SANCTUM_TOKEN_PREFIX: 'at_' })
  const user = await aUser(database)
  const { out, err, error } = await command(
    'token',
    'create',
    '--email',
    user.email.toUpperCase(),
    '--name',
    'laptop',
  )
  t.equal(error, null)
  t.strictSame(err, [])
  t.equal(out.length, 1, 'the output is only the token')
  t.match(out[0], /^\d+\|at_[A-Za-z0-9]{40}[0-9a-f]{8}$/)
  const app = await startApp(t, { database })
  t.equal((await get(app, '/api/me', out[0])).json.user.id, user.id)
  const read = (token = '') =>
    database.kysely
      .selectFrom('personal_access_tokens')
      .selectAll()
      .where('id', '=', Number(token.split('|')[0]))
      .executeTakeFirstOrThrow()
  t.match(await read(out[0]), {
    tokenable_type: 'App\\Models\\Auth\\User',
    name: 'laptop',
    abilities: '["*"]',
    expires_at: null,
    created_at: '2026-03-01 12:00:00',
  })
})

t.test('token create takes abilities and an expiry, and refuses invalid input', async t => {
  const user = await aUser(database)
  const create = (...args: string[]) =>
    command('token', 'create', '--email', user.email, '--name', 'x', ...args)
  await create(
    '--ability',
    'read:me',
    '--ability',
    'read:playlist',
    '--expires-at',
    '2027-01-31T12:00:00+02:00',
  )
  const row = await database.kysely
    .selectFrom('personal_access_tokens')
    .selectAll()
    .where('tokenable_id', '=', user.id)
    .where('name', '=', 'x')
    .executeTakeFirstOrThrow()
  t.match(row, { abilities: '["read:me","read:playlist"]', expires_at: '2027-01-31 10:00:00' })
  const typo = await create('--ability', 'reed:playlist')
  t.match(typo.err[0], /^--ability reed:playlist: no route requires it\. Known abilities: read:me, /)
  t.equal(typo.out.length, 1, 'an unknown ability is allowed, as in Laravel')
  t.equal(
    (await command('token', 'create', '--email', user.email, '--name', '')).error,
    '--name : expected 1 to 255 visible characters.',
  )
  t.match((await create('--expires-at', 'tomorrow')).error, /expected a date such as 2027-01-31/)
  t.match((await create('--expires-at', '2026-02-28')).error, /lies in the past/)
  t.equal(
    (await command('token', 'create', '--email', 'unknown@example.org', '--name', 'x')).error,
    'There is no user with the e-mail address unknown@example.org.',
  )
})

t.test('token list shows the tokens of a user, and token revoke revokes them', async t => {
  const user = await aUser(database)
  const other = await aUser(database)
  const second = await aToken(database, user.id, {
    expiresAt: NOW + DAY,
    abilities: [],
    userType: 'App\\Models\\User',
  })

  const { out } = await command('token', 'list', '--email', user.email)
  t.equal(out.length, 3)
  t.match(out[0], /^ID +NAME +ABILITIES +LAST USED +ENDS +CREATED$/)
  t.match(out[1], new RegExp(`^${user.tokenId} +test +\\* +never +2027-03-01 12:00:00 +2026-03-01 12:00:00$`))
  t.match(out[2], new RegExp(`^${second.tokenId} +test +- +never +2026-03-02 12:00:00 +2026`))
  t.notMatch(out.join(), /[0-9a-f]{64}/, 'digests are not shown')

  const app = await startApp(t, { database })
  t.equal((await get(app, '/api/me', user.token)).status, 200)
  t.strictSame((await command('token', 'revoke', String(user.tokenId))).out, [
    `Revoked token ${user.tokenId}.`,
  ])
  t.equal((await get(app, '/api/me', user.token)).status, 401)
  t.equal(
    (await command('token', 'revoke', String(user.tokenId))).error,
    `There is no token ${user.tokenId}.`,
  )

  t.strictSame((await command('token', 'revoke', '--all', '--email', user.email)).out, [
    `Revoked 1 token of ${user.email}.`,
  ])
  t.equal((await get(app, '/api/me', second.token)).status, 401)
  t.equal((await get(app, '/api/me', other.token)).status, 200, 'the token of another user')

  for (const args of [[], ['--all'], ['--email', user.email], ['1', '--all', '--email', user.email]]) {
    t.match(
      (await command('token', 'revoke', ...args)).error,
      /give either the ID of a token, or --all with --email/,
    )
  }
  t.match((await command('token', 'revoke', '1|secret')).error, /expected the number before the \|/)
})

t.test('token rotate replaces a token, with a grace period on request', async t => {
  const user = await aUser(database)
  const app = await startApp(t, { database })
  const status = async (token: string) => (await get(app, '/api/me', token)).status
  const { out } = await command('token', 'rotate', String(user.tokenId), '--grace', '60')
  const [next = ''] = out
  t.match(next, /^\d+\|[A-Za-z0-9]{48}$/)
  t.strictSame([await status(user.token), await status(next)], [200, 200])
  const [id = ''] = next.split('|')
  const { out: last } = await command('token', 'rotate', id)
  t.strictSame([await status(next), await status(last[0] ?? '')], [401, 200])
  t.match((await command('token', 'rotate', '4711000')).error, /There is no token/)
  for (const id of ['x', '-'])
    t.match((await command('token', 'rotate', id)).error, /expected the number before the \|/)
})

t.test('token prune', async t => {
  await t.test('it deletes tokens older than SANCTUM_EXPIRATION', async t => {
    const { database, command } = await commandLine(t, { SANCTUM_EXPIRATION: '60' })
    const { id, tokenId } = await aUser(database)
    const createdBefore = async (minutes: number) =>
      (await aToken(database, id, { createdAt: NOW - minutes * MINUTE })).tokenId
    const [, kept, kept2] = [await createdBefore(181), await createdBefore(179), await createdBefore(121)]
    const { out, err } = await command('token', 'prune', '--hours', '2')
    t.strictSame(out, ['Tokens expired for more than [2 hours] pruned successfully.'])
    t.strictSame(err, [])
    t.strictSame(await tokenIdsOf(database, id), [tokenId, kept, kept2])
  })

  await t.test('it keeps tokens without expiry if SANCTUM_EXPIRATION=null', async t => {
    const { database, command } = await commandLine(t, { SANCTUM_EXPIRATION: 'null' })
    const { id, tokenId } = await aUser(database)
    const { tokenId: old } = await aToken(database, id, { createdAt: NOW - 70 * DAY })
    const { out, err, error } = await command('token', 'prune', '--hours', '2')
    t.equal(error, null)
    t.strictSame(out, ['Tokens expired for more than [2 hours] pruned successfully.'])
    t.strictSame(err, ['Expiration value not specified in configuration file.'])
    t.strictSame(await tokenIdsOf(database, id), [tokenId, old])
  })

  await t.test('it deletes tokens past their own expiry', async t => {
    const { database, command } = await commandLine(t, { SANCTUM_EXPIRATION: '60' })
    const { id, tokenId } = await aUser(database)
    const expiringIn = async (minutes: number) =>
      (await aToken(database, id, { expiresAt: NOW + minutes * MINUTE })).tokenId
    const [, recent, future] = [await expiringIn(-121), await expiringIn(-119), await expiringIn(10)]
    await command('token', 'prune', '--hours', '2')
    t.strictSame(await tokenIdsOf(database, id), [tokenId, recent, future])
    const dayOld = await expiringIn(-24 * 60 - 1)
    await command('token', 'prune')
    t.notOk((await tokenIdsOf(database, id)).includes(dayOld), 'the default is 24 hours')
    t.match((await command('token', 'prune', '--hours', 'x')).error, /expected a whole number/)
  })

  await t.test('it deletes more than one batch', async t => {
    const { database, command } = await commandLine(t)
    const { id, tokenId } = await aUser(database)
    await sql`
      insert into personal_access_tokens (tokenable_type, tokenable_id, name, token, expires_at, created_at)
      select ${USER_TYPE}, ${id}::bigint, 'x', md5(n::text), '2026-01-01', '2026-01-01'
      from generate_series(1, 10001) as n`.execute(database.kysely)
    await command('token', 'prune')
    t.strictSame(await tokenIdsOf(database, id), [tokenId])
  })
})
