import type { FastifyInstance, FastifyRequest } from 'fastify'
import { findUserByEmail } from '#src/database/users.ts'
import type { Recipient } from '#src/mail/letter.ts'

/**
 * Tells the owner of an address that somebody has entered it, if it is another user's or reserved for one. A deleted
 * user is not told.
 *
 * @param own the user who has entered it; null for a new one
 * @returns whether it is taken
 */
export async function tellOwner(
  { database, mail, screening }: Pick<FastifyInstance, 'database' | 'mail' | 'screening'>,
  email: string,
  own: { id: number } | null,
): Promise<boolean> {
  if (!(await screening.isEmailTaken(email, own))) return false
  const owner = await findUserByEmail(database.kysely, email)
  if (owner !== null) await mail.sendAddressInUse(owner)
  return true
}

/**
 * Sends the link that makes a new address a user's, to that address. With REGISTER_REVEALS=false its owner is told in
 * the place of that if it is another user's, after the answer, whose time tells nothing.
 */
export async function sendNewEmail(request: FastifyRequest, user: Recipient & { id: number }): Promise<void> {
  const { server } = request
  if (server.config.registerReveals) return server.mail.sendNewEmail(user)
  const send = async () => {
    if (!(await tellOwner(server, user.email, user))) await server.mail.sendNewEmail(user)
  }
  request.afterAnswer(send, 'the mail to a new e-mail address could not be sent')
}
