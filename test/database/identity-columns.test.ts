import { sql } from 'kysely'
import t from 'tap'
import type { User } from '#src/auth/identity.ts'
import type { Database } from '#src/database/connect.ts'
import { IDENTITY_TABLES, userValues } from '#src/database/identity-columns.ts'
import {
  SELECT_RESTRAINTS,
  SELECT_SESSIONS,
  SELECT_TOKENS_BY_DIGEST,
  SELECT_TOKENS_BY_ID,
  SELECT_USERS,
} from '#src/database/identity-statements.ts'
import { followIdentityColumns } from '#src/database/identity-triggers.ts'
import { createDatabase, ENGINES } from '../support/databases.ts'

/** The columns in the trigger of a table: those whose update fires it, and those it compares in both rows. */
async function triggerColumns({ kysely }: Pick<Database, 'kysely'>, table: string) {
  const { rows } = await sql<{ columns: string[]; definition: string }>`
    select pg_get_triggerdef(t.oid) as definition, array(
      select a.attname::text from pg_attribute a
      where a.attrelid = t.tgrelid and a.attnum = any(t.tgattr::int2[]) order by 1
    ) as columns
    from pg_trigger t where t.tgrelid = ${table}::regclass and t.tgname = ${`${table}_identities_update`}`.execute(
    kysely,
  )
  const [{ columns, definition } = { columns: [], definition: '' }] = rows
  const compared = (row: string) =>
    [...definition.matchAll(new RegExp(`\\b${row}\\.(\\w+)`, 'gi'))].map(([, column]) => column).sort()
  return { fired: columns, old: compared('old'), new: compared('new') }
}

const sameFor = (columns: readonly string[]) => {
  const sorted = columns.toSorted()
  return { fired: sorted, old: sorted, new: sorted }
}

for (const engine of ENGINES) {
  t.test(`columns of identities on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    t.test('triggers follow exactly the columns of identities', async t => {
      for (const [table, { followed }] of IDENTITY_TABLES) {
        t.strictSame(await triggerColumns(database, table), sameFor(followed), table)
      }
    })

    t.test('a migration updates the trigger to the declared columns that exist', async t => {
      for (const [table, { followed }] of IDENTITY_TABLES) {
        await sql`drop trigger ${sql.ref(`${table}_identities_update`)} on ${sql.table(table)}`.execute(
          database.kysely,
        )
        await followIdentityColumns(table)(database.kysely as never)
        t.strictSame(await triggerColumns(database, table), sameFor(followed), table)
      }
      const { followed = [] } = IDENTITY_TABLES.get('personal_access_tokens') ?? {}
      await sql`alter table personal_access_tokens drop column allowed_ips cascade`.execute(database.kysely)
      await followIdentityColumns('personal_access_tokens')(database.kysely as never)
      t.strictSame(
        await triggerColumns(database, 'personal_access_tokens'),
        sameFor(followed.filter(column => column !== 'allowed_ips')),
      )
      await t.rejects(
        followIdentityColumns('features')(database.kysely as never),
        /features is no table of identities/,
      )
    })
  })
}

t.test('look-ups read declared columns only', async t => {
  const TABLES = {
    t: 'personal_access_tokens',
    s: 'sessions',
    u: 'users',
  } as const
  const statements = [SELECT_TOKENS_BY_ID, SELECT_TOKENS_BY_DIGEST, SELECT_SESSIONS, SELECT_USERS]
  for (const [alias, table] of Object.entries(TABLES)) {
    const { followed = [], notFollowed = [] } = IDENTITY_TABLES.get(table) ?? {}
    const read = statements.flatMap(text => [...text.matchAll(new RegExp(`\\b${alias}\\.(\\w+)`, 'g'))])
    t.strictSame(
      [...new Set(read.map(([, column]) => column))].sort(),
      [...followed, ...notFollowed].sort(),
      table,
    )
  }
  const restraints = new Set([...SELECT_RESTRAINTS.matchAll(/\bm\.(\w+)/g)].map(([, column]) => column))
  const declared = ['model_sanctions', 'model_prohibitions'].flatMap(
    table => IDENTITY_TABLES.get(table)?.followed ?? [],
  )
  t.strictSame([...restraints].sort(), [...new Set(declared)].sort())
})

t.test('a user has the values of the columns', async t => {
  const user: User = {
    id: 1,
    name: 'alice',
    email: 'alice@example.org',
    emailVerifiedAt: null,
    twoFactorConfirmedAt: '2026-03-01 12:00:00',
    hasSecondFactor: true,
    createdAt: '2026-01-01 00:00:00',
    updatedAt: '2026-02-01 00:00:00',
  }
  t.strictSame(userValues(user), {
    id: 1,
    name: 'alice',
    email: 'alice@example.org',
    email_verified_at: null,
    two_factor_confirmed_at: '2026-03-01 12:00:00',
    created_at: '2026-01-01 00:00:00',
    updated_at: '2026-02-01 00:00:00',
    deleted_at: null,
  })
})
