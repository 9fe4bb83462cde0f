import type { Identities } from '#src/database/identities.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'

/**
 * Keeps users who are banned from everything from logging in. To be asked once all that a login takes was right: nobody
 * else is told of a ban.
 *
 * @param identities as the login's transaction sees them, which holds the user's lock
 * @throws {HttpError} 422 with the ban's reason and end
 */
export async function refuseBanned(identities: Pick<Identities, 'user'>, userId: number): Promise<void> {
  const ban = (await identities.user(userId))?.ban ?? null
  if (ban !== null) throw unprocessable({ email: [MESSAGES.banned(ban)] })
}
