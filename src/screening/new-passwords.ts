import { findNamesake, isCommonPassword, isRepetitive } from '#src/auth/guessable-password.ts'
import type { Config } from '#src/config/config.ts'
import { GUESSABLE, validateNewPassword } from '#src/input/new-password.ts'
import { isBreached } from './breached-passwords.ts'
import { commonPasswords } from './common-passwords.ts'

/** The user of a password, as far as known. */
export interface PasswordOwner {
  name?: string | null
  email?: string | null
}

/** Validates new passwords. */
export interface PasswordScreening {
  /**
   * Validates a new password and its repetition. The checks for guessable passwords run only if all rules are met,
   * those of external services last.
   */
  errors(
    password: string | null | undefined,
    confirmation: string | null | undefined,
    owner: PasswordOwner,
  ): Promise<string[]>
  /** Compares an otherwise valid password with its owner's name and address. */
  ownerErrors(password: string, owner: PasswordOwner): string[]
}

/**
 * Creates the checks of new passwords: the rules, the names of the site and the user, the list of common passwords,
 * and the service for leaked ones, if configured.
 *
 * @param onServiceFailure called when the service fails; the password is then accepted
 */
export function createPasswordScreening(
  {
    appName,
    appUrl,
    commonPasswords: looksForCommon,
    breachedPasswordsUrl,
  }: Pick<Config, 'appName' | 'appUrl' | 'commonPasswords' | 'breachedPasswordsUrl'>,
  onServiceFailure: (error: unknown) => void,
): PasswordScreening {
  const isLeaked = async (password: string) => {
    if (breachedPasswordsUrl === null) return false
    try {
      return await isBreached(breachedPasswordsUrl, password)
    } catch (error) {
      onServiceFailure(error)
      return false
    }
  }

  const ownerErrors = (password: string, owner: PasswordOwner) => {
    const namesake = findNamesake(password, { ...owner, siteName: appName, siteHost: appUrl.hostname })
    return namesake === null ? [] : [GUESSABLE[namesake]]
  }

  const guessableErrors = async (password: string, owner: PasswordOwner) => {
    if (looksForCommon && isCommonPassword(password, await commonPasswords())) return [GUESSABLE.common]
    if (isRepetitive(password)) return [GUESSABLE.repetitive]
    const ofOwner = ownerErrors(password, owner)
    if (ofOwner.length > 0) return ofOwner
    return (await isLeaked(password)) ? [GUESSABLE.breached] : []
  }

  return {
    async errors(password, confirmation, owner) {
      const errors = validateNewPassword(password, confirmation)
      return errors.length > 0 ? errors : guessableErrors(password as string, owner)
    },
    ownerErrors,
  }
}
