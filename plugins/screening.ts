import fp from 'fastify-plugin'
import { MESSAGES } from '../src/api/messages.ts'
import { newPasswordErrors } from '../src/api/new-password.ts'
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
      /** What is wrong with a user name beyond its form. */
      nameErrors(name: string): Promise<string[]>
    }
  }
}

const MODERATIONS = 60
const WINDOW_MS = 60_000

/** Adds `app.screening`, which asks others about passwords and names if it is told whom, and does without an answer. */
export default fp(
  async app => {
    const { config, counters, log } = app

    const breached = async (password: string) => {
      if (config.breachedPasswordsUrl === null) return false
      try {
        return await isBreached(config.breachedPasswordsUrl, password)
      } catch (error) {
        log.warn({ err: error }, 'a new password could not be looked for among the leaked ones')
        return false
      }
    }

    app.decorate('screening', {
      async passwordErrors(password, confirmation) {
        const errors = newPasswordErrors(password, confirmation)
        const isLeaked = errors.length === 0 && (await breached(password as string))
        return isLeaked ? [MESSAGES.rules.breached('password')] : errors
      },
      async nameErrors(name) {
        if (config.moderationUrl === null) return []
        try {
          const { current } = await counters.hit('moderation', WINDOW_MS)
          if (current > MODERATIONS) return []
          const isUnfit = await isFlagged(config.moderationUrl, config.moderationToken, name)
          return isUnfit ? [MESSAGES.rules.moderated('name')] : []
        } catch (error) {
          log.warn({ err: error }, 'a user name could not be moderated')
          return []
        }
      },
    })
  },
  { name: 'screening', dependencies: ['counters'] },
)
