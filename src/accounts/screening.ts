import type { Kysely } from 'kysely'
import { isSameName } from '#src/auth/name.ts'
import { isReservedName } from '#src/auth/reserved-names.ts'
import { MINUTE_MS } from '#src/auth/time.ts'
import type { Config } from '#src/config/config.ts'
import type { Schema } from '#src/database/schema.ts'
import { takenFields } from '#src/database/user-keys.ts'
import { emailErrors, nameErrors } from '#src/input/account.ts'
import type { Counters } from '#src/limits/counters.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Log } from '#src/runtime/log.ts'
import { type PasswordScreening, passwordScreening } from '#src/screening/new-passwords.ts'
import { isFlagged } from '#src/screening/user-names.ts'

const { rules } = MESSAGES

/** How many names a minute the service for moderation is asked about. */
const MODERATIONS = 60
const WINDOW_MS = MINUTE_MS

/**
 * Says what is wrong with what people want to be called and with their passwords. It asks others about that if it is
 * told whom, and does without an answer.
 */
export interface Screening {
  /** What is wrong with new passwords. */
  passwords: PasswordScreening
  /**
   * What is wrong with a name and an e-mail address. Undefined is one that is not asked for, and null one that is
   * missing.
   *
   * That an address is taken is no error with REGISTER_REVEALS=false: whoever asks is not told.
   *
   * @param own the user who wants them, and is not compared with; null for a new one
   */
  profileErrors(
    profile: { name: string | null | undefined; email: string | null | undefined },
    own: { id: number; name: string } | null,
  ): Promise<{ name: string[]; email: string[] }>
  /** Whether another user has an address, deleted ones included, or it is reserved for one. */
  isEmailTaken(email: string, own: { id: number } | null): Promise<boolean>
}

/** What {@link createScreening} works with. */
export interface ScreeningDeps {
  config: Pick<Config, 'moderationUrl' | 'moderationToken' | 'registerReveals'> &
    Parameters<typeof passwordScreening>[0]
  kysely: Kysely<Schema>
  /** Milliseconds since the epoch. */
  clock: () => number
  /** Counts the names that the service for moderation is asked about. */
  moderations: Counters
  log: Pick<Log, 'warn'>
}

/** Makes the {@link Screening} of a server. */
export function createScreening({ config, kysely, clock, moderations, log }: ScreeningDeps): Screening {
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

  return {
    passwords: passwordScreening(config, error =>
      log.warn({ err: error }, 'a new password could not be looked for among the leaked ones'),
    ),
    async profileErrors({ name, email }, own) {
      const ofName = name === undefined ? [] : nameErrors(name)
      const ofEmail = email === undefined ? [] : emailErrors(email)
      const isNameWhole = typeof name === 'string' && ofName.length === 0
      const taken = await takenFields(
        kysely,
        { name: isNameWhole ? name : null, email: ofEmail.length === 0 ? (email ?? null) : null },
        own?.id ?? null,
        clock(),
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
        email: [...ofEmail, ...(taken.has('email') && config.registerReveals ? [rules.unique('email')] : [])],
      }
    },
    async isEmailTaken(email, own) {
      const taken = await takenFields(kysely, { name: null, email }, own?.id ?? null, clock())
      return taken.has('email')
    },
  }
}
