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
  /** Looks a secret up within the bound of wrong guesses that the reporter's address has. */
  attempts: {
    guess<T extends { isRight: boolean }>(reporter: C, digest: string, lookUp: () => Promise<T>): Promise<T>
  }
  /** Tells a user by mail that a token was found, and is revoked. */
  tellOwner(owner: Recipient): Promise<unknown>
}

/**
 * Makes the function that takes reports of leaked tokens: one that is found is revoked, with its successor and all that
 * they issued, and its user is told. Nothing that it returns tells whether there was one.
 *
 * @throws {HttpError} 429 when the reporter's address has shown too many wrong ones
 */
export const createLeakReport =
  <C extends Recorder>({ kysely, identities, config, attempts, tellOwner }: LeakedTokensOptions<C>) =>
  async (reporter: C, text: string): Promise<void> => {
    const credential = parseToken(text)
    if (credential === null) return
    const { digest } = credential
    const { reported } = await attempts.guess(reporter, digest, async () => {
      const reported = await findReportedToken(kysely, digest, config.tokenableTypes)
      return { isRight: reported !== null, reported }
    })
    if (reported === null) return
    const ended = await deleteReportedTokens(kysely, reported.ownerId, digest)
    if (ended.length === 0) return
    const user = (reported.isUsers && (await identities.user(reported.ownerId))?.user) || null
    reporter.record('token revoked', {
      userId: user?.id ?? null,
      which: reported.id,
      ...revokedDetails(ended),
      cause: 'leaked',
    })
    if (user !== null) await tellOwner(user)
  }
