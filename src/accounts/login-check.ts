import type { Identities } from '#src/database/identities.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'

/** 422 for a wrong password, and for an account that does not exist. */
export const wrongCredentials = () => unprocessable({ email: [MESSAGES.wrongCredentials] })

/**
 * Refuses the login of a user who is banned from everything. Call it after all credentials of the login were
 * verified, so that only the user learns of the ban.
 *
 * @param identities those of the login's transaction, which holds the user's lock
 * @throws {HttpError} 422 with the ban's reason and end
 */
export async function requireNotBanned(identities: Pick<Identities, 'user'>, userId: number): Promise<void> {
  const ban = (await identities.user(userId))?.ban ?? null
  if (ban !== null) throw unprocessable({ email: [MESSAGES.banned(ban)] })
}
