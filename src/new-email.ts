import type { FastifyRequest } from 'fastify'
import { findUserByEmail } from './database/users.ts'
import type { Recipient } from './mail/letter.ts'

/**
 * Sends the link that makes a new address a user's, to that address. With REGISTER_REVEALS=false its owner is told in
 * the place of that if it is another user's, after the answer, whose time tells nothing.
 */
export async function sendNewEmail(request: FastifyRequest, user: Recipient & { id: number }): Promise<void> {
  const { config, database, mail, screening } = request.server
  if (config.registerReveals) return mail.sendNewEmail(user)
  const send = async () => {
    if (!(await screening.isEmailTaken(user.email, user))) return mail.sendNewEmail(user)
    const owner = await findUserByEmail(database.kysely, user.email)
    if (owner !== null) await mail.sendAddressInUse(owner)
  }
  request.afterAnswer(send, 'the mail to a new e-mail address could not be sent')
}
