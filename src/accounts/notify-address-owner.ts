import type { Kysely } from 'kysely'
import type { Schema } from '#src/database/schema.ts'
import { findUserByEmail } from '#src/database/users.ts'
import type { UserMailer } from '#src/mail/user-mailer.ts'
import type { Screening } from './screening.ts'

/** What it takes to tell the owner of an address. */
export interface OwnerTold {
  kysely: Kysely<Schema>
  mail: Pick<UserMailer, 'sendAddressInUse'>
  screening: Pick<Screening, 'isEmailTaken'>
}

/**
 * Tells the owner of an address that somebody has entered it, if it is another user's or reserved for one. A deleted
 * user is not told.
 *
 * @param own the user who has entered it; null for a new one
 * @returns whether it is taken
 */
export async function notifyAddressOwner(
  { kysely, mail, screening }: OwnerTold,
  email: string,
  own: { id: number } | null,
): Promise<boolean> {
  if (!(await screening.isEmailTaken(email, own))) return false
  const owner = await findUserByEmail(kysely, email)
  if (owner !== null) await mail.sendAddressInUse(owner)
  return true
}
