import type { Kysely } from 'kysely'
import { isSameName } from '#src/auth/name.ts'
import { isReservedName } from '#src/auth/reserved-names.ts'
import { MINUTE_MS } from '#src/auth/time.ts'
import type { Config } from '#src/config/config.ts'
import type { Schema } from '#src/database/schema.ts'
import { findTakenFields } from '#src/database/user-keys.ts'
import { validateEmail, validateName } from '#src/input/account.ts'
import type { Counters } from '#src/limits/counters.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Log } from '#src/runtime/log.ts'
import type { EpochMillis, Millis } from '#src/runtime/units.ts'
import { createPasswordScreening, type PasswordScreening } from '#src/screening/new-passwords.ts'
import { isFlagged } from '#src/screening/user-names.ts'

const { rules } = MESSAGES

/** Names per minute that the moderation service is queried for. */
const MAX_MODERATIONS = 60
const WINDOW_MS: Millis = MINUTE_MS

/**
 * Validates user names, e-mail addresses and new passwords against the rules, other users and, if configured,
 * external services. When a service fails, its check is skipped.
 */
export interface Screening {
  passwords: PasswordScreening
  /**
   * Validates a name and an e-mail address. `undefined` skips a field, `null` is a missing one.
   *
   * With REGISTER_REVEALS=false a taken address is no error, because it would reveal that the address has an account.
   *
   * @param own the user whose profile it is, who is excluded from comparisons; null for a registration
   */
  profileErrors(
    profile: { name: string | null | undefined; email: string | null | undefined },
    own: { id: number; name: string } | null,
  ): Promise<{ name: string[]; email: string[] }>
  /** Whether another user, a deleted one included, has an address, or the address is reserved for one. */
  isEmailTaken(email: string, own: { id: number } | null): Promise<boolean>
}

/** Dependencies of {@link createScreening}. */
export interface ScreeningDeps {
  config: Pick<Config, 'moderationUrl' | 'moderationToken' | 'registerReveals'> &
    Parameters<typeof createPasswordScreening>[0]
  kysely: Kysely<Schema>
  clock: () => EpochMillis
  /** Counts queries of the moderation service. */
  moderations: Counters
  log: Pick<Log, 'warn'>
}

/** Creates the {@link Screening} of a server. */
export function createScreening({ config, kysely, clock, moderations, log }: ScreeningDeps): Screening {
  const isNameFlagged = async (name: string) => {
    if (config.moderationUrl === null) return false
    try {
      const { current } = await moderations.hit('all', WINDOW_MS)
      return (
        current <= MAX_MODERATIONS && (await isFlagged(config.moderationUrl, config.moderationToken, name))
      )
    } catch (error) {
      log.warn({ err: error }, 'a user name could not be moderated')
      return false
    }
  }

  return {
    passwords: createPasswordScreening(config, error =>
      log.warn({ err: error }, 'a new password could not be checked against the leaked ones'),
    ),
    async profileErrors({ name, email }, own) {
      const nameFaults = name === undefined ? [] : validateName(name)
      const emailFaults = email === undefined ? [] : validateEmail(email)
      const isNameValid = typeof name === 'string' && nameFaults.length === 0
      const taken = await findTakenFields(
        kysely,
        { name: isNameValid ? name : null, email: emailFaults.length === 0 ? (email ?? null) : null },
        own?.id ?? null,
        clock(),
      )
      const isReserved = isNameValid && isReservedName(name) && !isSameName(name, own?.name)
      const isTaken = taken.has('name') || isReserved
      const isModerated = isNameValid && (await isNameFlagged(name))
      return {
        name: [
          ...nameFaults,
          ...(isTaken ? [rules.unique('name')] : []),
          ...(isModerated ? [rules.moderated('name')] : []),
        ],
        email: [
          ...emailFaults,
          ...(taken.has('email') && config.registerReveals ? [rules.unique('email')] : []),
        ],
      }
    },
    async isEmailTaken(email, own) {
      const taken = await findTakenFields(kysely, { name: null, email }, own?.id ?? null, clock())
      return taken.has('email')
    },
  }
}
