import { type Kysely, Migrator, sql } from 'kysely'
import type { Database } from './connect.ts'
import { users } from './migrations/0001_users.ts'
import { permissions } from './migrations/0002_permissions.ts'
import { lists } from './migrations/0003_lists.ts'
import { notifications } from './migrations/0004_notifications.ts'
import { sessions } from './migrations/0005_sessions.ts'
import { permissionVersions } from './migrations/0006_permission_versions.ts'
import { identityChanges } from './migrations/0007_identity_changes.ts'
import { deletedUsers } from './migrations/0008_deleted_users.ts'
import { accounts } from './migrations/0009_accounts.ts'
import { tokensAndEvents } from './migrations/0010_tokens_and_events.ts'
import { wiki } from './migrations/0011_wiki.ts'
import { publicLists } from './migrations/0012_public_lists.ts'
import { accountSecurity } from './migrations/0013_account_security.ts'
import { attemptCounts } from './migrations/0014_attempt_counts.ts'
import { namesAndEmails } from './migrations/0015_names_and_emails.ts'
import { securityMails } from './migrations/0016_security_mails.ts'
import { pendingRegistrations } from './migrations/0017_pending_registrations.ts'
import type { Schema } from './schema.ts'

const MIGRATIONS = {
  '0001_users': users,
  '0002_permissions': permissions,
  '0003_lists': lists,
  '0004_notifications': notifications,
  '0005_sessions': sessions,
  '0006_permission_versions': permissionVersions,
  '0007_identity_changes': identityChanges,
  '0008_deleted_users': deletedUsers,
  '0009_accounts': accounts,
  '0010_tokens_and_events': tokensAndEvents,
  '0011_wiki': wiki,
  '0012_public_lists': publicLists,
  '0013_account_security': accountSecurity,
  '0014_attempt_counts': attemptCounts,
  '0015_names_and_emails': namesAndEmails,
  '0016_security_mails': securityMails,
  '0017_pending_registrations': pendingRegistrations,
}

const LATEST = Object.keys(MIGRATIONS).at(-1)

/**
 * Brings the schema up to date and returns the names of the migrations that ran.
 *
 * Everything runs in one transaction under an advisory lock, so any number of instances may call this at
 * once. Identity sequences that lag behind rows brought along with their ids are moved past them.
 *
 * @throws the database's error; nothing is changed then
 */
export async function migrate(db: Kysely<Schema>): Promise<string[]> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => MIGRATIONS } })
  const { error, results = [] } = await migrator.migrateToLatest()
  if (error) throw error
  await alignIdentities(db)
  return results.map(result => result.migrationName)
}

/** Makes the function that asks whether every migration that this version knows has run. */
export function isMigrated(database: Pick<Database, 'prepare'>): () => Promise<boolean> {
  const select = database.prepare<{ current: boolean }>(
    'migrated',
    'select exists (select from kysely_migration where name = $1) as current',
  )
  return async () => {
    const [row] = await select([LATEST])
    return row?.current === true
  }
}

/** Rows copied from Laravel keep their ids without touching the sequence: the next insert would collide. */
async function alignIdentities(db: Kysely<Schema>) {
  const { rows } = await sql<{ table_name: string; column_name: string; sequence: string }>`
    select table_name, column_name, pg_get_serial_sequence(quote_ident(table_name), column_name) as sequence
    from information_schema.columns
    where table_schema = current_schema() and is_identity = 'YES'
    order by table_name`.execute(db)
  for (const { table_name, column_name, sequence } of rows) {
    await sql`
      select setval(${sequence}, highest)
      from (select max(${sql.ref(column_name)}) as highest from ${sql.table(table_name)}) as brought
      where highest > (select last_value from ${sql.raw(sequence)})`.execute(db)
  }
}
