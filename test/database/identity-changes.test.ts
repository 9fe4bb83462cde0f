import { sql } from 'kysely'
import t from 'tap'
import type { SessionDigest } from '#src/auth/session.ts'
import { writeSessionUses, writeTokenUses } from '#src/database/last-use.ts'
import { NOW } from '../fixtures/clock.ts'
import { aToken, aUser, USER_TYPE } from '../fixtures/users.ts'
import { createDatabase, ENGINES } from '../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`notifications about identity changes on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const { kysely } = database

    await t.test('a change of an identity notifies with the id of its user, or * for all users', async t => {
      const notifications: string[] = []
      const listener = await database.listen('identity_changes', {
        message: payload => notifications.push(payload),
        lost: error => t.fail(error.message),
      })
      /** Executes a statement and returns its notifications, sorted. */
      const notificationsOf = async (statement: string) => {
        await sql.raw(statement).execute(kysely)
        await listener.roundTrip()
        return notifications.splice(0).sort()
      }
      const [one, two] = [await aUser(database), await aUser(database)]
      const { tokenId } = await aToken(database, one.id)
      await listener.roundTrip()
      notifications.length = 0
      const session = (id: string, user: number | null) =>
        `insert into sessions (id, user_id, payload, last_activity) values ('${id}', ${user}, '{}', 0)`

      const ofOne = [String(one.id)]
      const cases: [statement: string, expected: string[]][] = [
        [`update personal_access_tokens set last_used_at = now(), updated_at = now()`, []],
        [`update personal_access_tokens set name = name`, []],
        [`update personal_access_tokens set name = 'other' where id = ${tokenId}`, ofOne],
        [`update personal_access_tokens set expires_at = now() where id = ${tokenId}`, ofOne],
        [`update personal_access_tokens set abilities = '[]' where id = ${tokenId}`, ofOne],
        [`update personal_access_tokens set token = 'x' where id = ${tokenId}`, ofOne],
        [
          `update personal_access_tokens set tokenable_id = ${two.id} where id = ${tokenId}`,
          [String(one.id), String(two.id)].sort(),
        ],
        [`delete from personal_access_tokens where id = ${tokenId}`, [String(two.id)]],
        [`delete from personal_access_tokens where id = ${tokenId}`, []],

        [session('s1', one.id), []],
        [session('s2', null), []],
        [`update sessions set last_activity = 5, ip_address = '::1', user_agent = 'curl'`, []],
        [`update sessions set payload = '{"a":1}'`, ofOne],
        [`update sessions set user_id = ${one.id} where id = 's2'`, ofOne],
        [`delete from sessions`, ofOne],

        [`update users set remember_token = 'x', two_factor_recovery_codes = 'y'`, []],
        ...[
          ...["name = 'other'", "email = 'other@example.org'", 'email_verified_at = null', "password = 'x'"],
          ...[
            "two_factor_secret = 'y'",
            'two_factor_confirmed_at = now()',
            'updated_at = now()',
            'deleted_at = now()',
            'deleted_at = null',
          ],
        ].map((change): [string, string[]] => [`update users set ${change} where id = ${one.id}`, ofOne]),

        [
          `insert into model_has_roles (role_id, model_type, model_id)
            select id, '${USER_TYPE}', ${one.id} from roles where name in ('Verified', 'Patron')`,
          ofOne,
        ],
        [`update model_has_roles set model_type = 'other' where model_id = ${one.id}`, ofOne],
        [`delete from model_has_roles where model_id = ${one.id}`, ofOne],
        [
          `insert into model_has_permissions (permission_id, model_type, model_id)
            select id, '${USER_TYPE}', ${one.id} from permissions where name = 'view playlist'`,
          ofOne,
        ],
        [`delete from model_has_permissions where model_id = ${one.id}`, ofOne],
        [
          `insert into model_prohibitions (prohibition_id, model_type, model_id)
            select id, '${USER_TYPE}', ${one.id} from prohibitions where name = 'view playlist'`,
          ofOne,
        ],
        [`update model_prohibitions set reason = 'x' where model_id = ${one.id}`, ofOne],
        [`update model_prohibitions set expires_at = now() where model_id = ${one.id}`, ofOne],
        [`delete from model_prohibitions where model_id = ${one.id}`, ofOne],
        [`insert into sanctions (name) values ('none')`, ['*']],
        [
          `insert into model_sanctions (sanction_id, model_type, model_id)
            select id, '${USER_TYPE}', ${one.id} from sanctions`,
          ofOne,
        ],
        [`delete from sanctions`, ['*', ...ofOne]],
        [`update permissions set name = name || ' ' where name = 'view playlist'`, ['*']],
        [`update permissions set name = trim(name) where name = 'view playlist '`, ['*']],
        [
          `delete from role_has_permissions where permission_id = (select id from permissions where name = 'view playlist')`,
          ['*'],
        ],
        [`truncate model_has_permissions`, ['*']],
        [`truncate personal_access_tokens`, ['*']],
        [`delete from users where id = ${one.id}`, ofOne],
        [`insert into users (name, email, password) values ('new', 'new@example.org', '!')`, []],
      ]
      for (const [statement, expected] of cases)
        t.strictSame(await notificationsOf(statement), expected, statement)

      await kysely
        .transaction()
        .execute(async transaction => {
          await sql`update users set name = 'third' where id = ${two.id}`.execute(transaction)
          throw new Error('no')
        })
        .catch(() => {})
      await listener.roundTrip()
      t.strictSame(notifications, [], 'a transaction that is rolled back notifies nothing')
      await listener.close()
    })

    await t.test('recording the last use notifies nothing', async t => {
      const notifications: string[] = []
      const listener = await database.listen('identity_changes', {
        message: payload => notifications.push(payload),
        lost: error => t.fail(error.message),
      })
      const { id, tokenId } = await aUser(database)
      await sql`insert into sessions (id, user_id, payload, last_activity) values ('s3', ${id}, '{}', 1)`.execute(
        kysely,
      )
      await writeTokenUses(kysely, [[tokenId, { at: NOW, address: '::1', userAgent: 'curl' }]], NOW)
      await writeSessionUses(
        kysely,
        [['s3' as SessionDigest, { at: NOW, address: '::1', userAgent: 'curl' }]],
        NOW,
      )
      await listener.roundTrip()
      t.strictSame(notifications, [])
      t.match(await kysely.selectFrom('sessions').select('last_activity').where('id', '=', 's3').execute(), [
        { last_activity: NOW / 1000 },
      ])
      await listener.close()
    })

    await t.test('changes of many rows are notified together, and as * beyond a limit', async t => {
      const notifications: string[] = []
      const listener = await database.listen('identity_changes', {
        message: payload => notifications.push(payload),
        lost: error => t.fail(error.message),
      })
      const addTokens = (count: number) =>
        sql`
          insert into personal_access_tokens (tokenable_type, tokenable_id, name, token)
          select ${USER_TYPE}, 1000000 + n, 'bulk', 'bulk' || n from generate_series(1, ${count}::int) as n`.execute(
          kysely,
        )
      const notificationsOf = async (statement: string) => {
        await sql.raw(statement).execute(kysely)
        await listener.roundTrip()
        return notifications.splice(0)
      }
      await addTokens(700)
      const updated = await notificationsOf(
        `update personal_access_tokens set name = 'bulk!' where name = 'bulk'`,
      )
      t.equal(updated.length, 101, 'one notification per row, and one for all')
      t.equal(updated.at(-1), '*', 'beyond a hundred rows')
      const again = await notificationsOf(
        `update personal_access_tokens set name = 'bulk' where token = 'bulk1'`,
      )
      t.strictSame(again, ['1000001'], 'the count starts again with the next transaction')
      const deleted = await notificationsOf(`delete from personal_access_tokens where name like 'bulk%'`)
      t.equal(deleted.length, 3)
      t.equal(new Set(deleted.flatMap(payload => payload.split(','))).size, 700)
      await addTokens(10_001)
      t.strictSame(await notificationsOf(`delete from personal_access_tokens where name = 'bulk'`), ['*'])
      await listener.close()
    })
  })
}
