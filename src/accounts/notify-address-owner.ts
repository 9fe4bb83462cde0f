import type { Kysely } from 'kysely'
import type { Schema } from '#src/database/schema.ts'
import { findUserByEmail } from '#src/database/users.ts'
import type { UserMailer } from '#src/mail/user-mailer.ts'
import type { Screening } from './screening.ts'

/** Dependencies of {@link notifyAddressOwner}. */
export interface AddressOwnerDeps {
  kysely: Kysely<Schema>
  mail: Pick<UserMailer, 'sendAddressInUse'>
  screening: Pick<Screening, 'isEmailTaken'>
}

/**
 * Notifies the owner of an address that another user has entered it, if the address is taken or reserved. A deleted
 * owner is not notified.
 *
 * @param own the user who has entered it; null for a registration
 * @returns whether the address is taken
 */
export async function notifyAddressOwner(
  { kysely, mail, screening }: AddressOwnerDeps,
  email: string,
  own: { id: number } | null,
): Promise<boolean> {
  if (!(await screening.isEmailTaken(email, own))) return false
  const owner = await findUserByEmail(kysely, email)
  if (owner !== null) await mail.sendAddressInUse(owner)
  return true
}
