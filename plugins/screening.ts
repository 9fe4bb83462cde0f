import fp from 'fastify-plugin'
import { emailErrors, nameErrors } from '../src/api/account-input.ts'
import { MESSAGES } from '../src/api/messages.ts'
import { newPasswordErrors } from '../src/api/new-password.ts'
import { isSameName } from '../src/auth/name.ts'
import { isReservedName } from '../src/auth/reserved-names.ts'
import { MINUTE_MS } from '../src/auth/time.ts'
import { takenFields } from '../src/database/user-keys.ts'
import { isBreached } from '../src/screening/breached-passwords.ts'
import { isFlagged } from '../src/screening/user-names.ts'

declare module 'fastify' {
  interface FastifyInstance {
    screening: {
      /** What is wrong with a new password and its repetition; nothing when it can be somebody's. */
      passwordErrors(
        password: string | null | undefined,
        confirmation: string | null | undefined,
      ): Promise<string[]>
      /**
       * What is wrong with a name and an e-mail address. Undefined is one that is not asked for, and null one that is
       * missing.
       *
       * @param own the user who wants them, and is not compared with; null for a new one
       */
      profileErrors(
        profile: { name: string | null | undefined; email: string | null | undefined },
        own: { id: number; name: string } | null,
      ): Promise<{ name: string[]; email: string[] }>
    }
  }
}

const { rules } = MESSAGES

const MODERATIONS = 60
const WINDOW_MS = MINUTE_MS

/**
 * Adds `app.screening`, which says what is wrong with what people want to be called and with their passwords. It asks
 * others about that if it is told whom, and does without an answer.
 */
export default fp(
  async app => {
    const { config, log } = app
    const moderations = app.countersOf('moderations')

    const breached = async (password: string) => {
      if (config.breachedPasswordsUrl === null) return false
      try {
        return await isBreached(config.breachedPasswordsUrl, password)
      } catch (error) {
        log.warn({ err: error }, 'a new password could not be looked for among the leaked ones')
        return false
      }
    }

    const flagged = async (name: string) => {
      if (config.moderationUrl === null) return false
      try {
        const { current } = await moderations.hit('all', WINDOW_MS)
        return current <= MODERATIONS && (await isFlagged(config.moderationUrl, config.moderationToken, name))
      } catch (error) {
        log.warn({ err: error }, 'a user name could not be moderated')
        return false
      }
    }

    app.decorate('screening', {
      async passwordErrors(password, confirmation) {
        const errors = newPasswordErrors(password, confirmation)
        const isLeaked = errors.length === 0 && (await breached(password as string))
        return isLeaked ? [rules.breached('password')] : errors
      },
      async profileErrors({ name, email }, own) {
        const ofName = name === undefined ? [] : nameErrors(name)
        const ofEmail = email === undefined ? [] : emailErrors(email)
        const isNameWhole = typeof name === 'string' && ofName.length === 0
        const taken = await takenFields(
          app.database.kysely,
          { name: isNameWhole ? name : null, email: ofEmail.length === 0 ? (email ?? null) : null },
          own?.id ?? null,
          app.clock(),
        )
        const isReserved = isNameWhole && isReservedName(name) && !isSameName(name, own?.name)
        const isTaken = taken.has('name') || isReserved
        const isUnfit = isNameWhole && (await flagged(name))
        return {
          name: [
            ...ofName,
            ...(isTaken ? [rules.unique('name')] : []),
            ...(isUnfit ? [rules.moderated('name')] : []),
          ],
          email: [...ofEmail, ...(taken.has('email') ? [rules.unique('email')] : [])],
        }
      },
    })
  },
  { name: 'screening', dependencies: ['counters', 'database'] },
)
