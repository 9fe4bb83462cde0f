import type { Kysely } from 'kysely'
import { revokedDetails } from '#src/auth/events.ts'
import { parseToken } from '#src/auth/token.ts'
import type { Config } from '#src/config/config.ts'
import type { Identities } from '#src/database/identities.ts'
import type { Schema } from '#src/database/schema.ts'
import { deleteReportedTokens, findReportedToken } from '#src/database/token-endings.ts'
import type { Recipient } from '#src/mail/template.ts'
import type { Recorder } from './caller.ts'

interface LeakedTokensOptions<C> {
  kysely: Kysely<Schema>
  identities: Pick<Identities, 'user'>
  config: Pick<Config, 'tokenableTypes'>
  /** Looks a token up within the limit of wrong tokens of the reporter's address. */
  attempts: {
    lookUpToken<T extends { isRight: boolean }>(
      reporter: C,
      digest: string,
      lookUp: () => Promise<T>,
    ): Promise<T>
  }
  /** Notifies a user by mail that a token was found and revoked. */
  notifyOwner(owner: Recipient): Promise<unknown>
}

/**
 * Creates the function that handles reports of leaked tokens. A known token is revoked together with its successor
 * and all tokens that these issued, and its user is notified. The result does not reveal whether the token exists.
 *
 * @throws {HttpError} 429 when the reporter's address presented too many wrong tokens
 */
export const createLeakReport =
  <C extends Recorder>({ kysely, identities, config, attempts, notifyOwner }: LeakedTokensOptions<C>) =>
  async (reporter: C, text: string): Promise<void> => {
    const credential = parseToken(text)
    if (credential === null) return
    const { digest } = credential
    const { reported } = await attempts.lookUpToken(reporter, digest, async () => {
      const reported = await findReportedToken(kysely, digest, config.tokenableTypes)
      return { isRight: reported !== null, reported }
    })
    if (reported === null) return
    const revoked = await deleteReportedTokens(kysely, reported.ownerId, digest)
    if (revoked.length === 0) return
    const user = (reported.isUsers && (await identities.user(reported.ownerId))?.user) || null
    reporter.record('token revoked', {
      userId: user?.id ?? null,
      which: reported.id,
      ...revokedDetails(revoked),
      cause: 'leaked',
    })
    if (user !== null) await notifyOwner(user)
  }
