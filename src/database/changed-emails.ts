import type { Kysely, Transaction } from 'kysely'
import { millisToSeconds } from '#src/auth/time.ts'
import type { Schema } from './schema.ts'

/** Remembers that a user's address is not the one that was registered; `now` in milliseconds since the epoch. */
export async function noteEmailChange(
  transaction: Transaction<Schema>,
  userId: number,
  now: number,
): Promise<void> {
  const changed_at = millisToSeconds(now)
  await transaction
    .insertInto('changed_emails')
    .values({ user_id: userId, changed_at })
    .onConflict(conflict => conflict.column('user_id').doUpdateSet({ changed_at }))
    .execute()
}

/** Whether a user's address was changed since the user registered. */
export async function hasChangedEmail(db: Kysely<Schema>, userId: number): Promise<boolean> {
  const row = db.selectFrom('changed_emails').select('user_id').where('user_id', '=', userId)
  return (await row.executeTakeFirst()) !== undefined
}
