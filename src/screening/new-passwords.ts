import { isCommonPassword, isRepetitive, namesakeOf } from '#src/auth/guessable-password.ts'
import type { Config } from '#src/config/config.ts'
import { GUESSABLE, newPasswordErrors } from '#src/input/new-password.ts'
import { isBreached } from './breached-passwords.ts'
import { commonPasswords } from './common-passwords.ts'

/** The user who is to have a password, as far as is known. */
export interface PasswordOwner {
  name?: string | null
  email?: string | null
}

/** Says what is wrong with new passwords. */
export interface PasswordScreening {
  /**
   * What is wrong with a new password and its repetition; nothing when it can be somebody's. What is easily guessed is
   * looked for once the rest is right, and others are asked last.
   */
  errors(
    password: string | null | undefined,
    confirmation: string | null | undefined,
    owner: PasswordOwner,
  ): Promise<string[]>
  /** What is wrong with a password that is right otherwise, once its owner is known. */
  ownerErrors(password: string, owner: PasswordOwner): string[]
}

/**
 * The rules for new passwords: of the site's and the user's names, the list of common passwords, and the service that
 * knows leaked ones, if there is one.
 *
 * @param onNoAnswer told when that service does not answer; the password passes then
 */
export function passwordScreening(
  {
    appName,
    appUrl,
    commonPasswords: looksForCommon,
    breachedPasswordsUrl,
  }: Pick<Config, 'appName' | 'appUrl' | 'commonPasswords' | 'breachedPasswordsUrl'>,
  onNoAnswer: (error: unknown) => void,
): PasswordScreening {
  const isLeaked = async (password: string) => {
    if (breachedPasswordsUrl === null) return false
    try {
      return await isBreached(breachedPasswordsUrl, password)
    } catch (error) {
      onNoAnswer(error)
      return false
    }
  }

  const ownerErrors = (password: string, owner: PasswordOwner) => {
    const namesake = namesakeOf(password, { ...owner, siteName: appName, siteHost: appUrl.hostname })
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
      const errors = newPasswordErrors(password, confirmation)
      return errors.length > 0 ? errors : guessableErrors(password as string, owner)
    },
    ownerErrors,
  }
}
