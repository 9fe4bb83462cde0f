import type { Kysely, Transaction } from 'kysely'
import { millisToSeconds } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Schema } from './schema.ts'

/** Records that a user's e-mail address is no longer the one that was registered. */
export async function noteEmailChange(
  transaction: Transaction<Schema>,
  userId: number,
  now: EpochMillis,
): Promise<void> {
  const changed_at = millisToSeconds(now)
  await transaction
    .insertInto('changed_emails')
    .values({ user_id: userId, changed_at })
    .onConflict(conflict => conflict.column('user_id').doUpdateSet({ changed_at }))
    .execute()
}

/** Returns whether a user's e-mail address was changed since registration. */
export async function hasChangedEmail(db: Kysely<Schema>, userId: number): Promise<boolean> {
  const row = db.selectFrom('changed_emails').select('user_id').where('user_id', '=', userId)
  return (await row.executeTakeFirst()) !== undefined
}
