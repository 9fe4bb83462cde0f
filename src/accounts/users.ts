import type { Kysely } from 'kysely'
import { revokedDetails } from '#src/auth/events.ts'
import type { PasswordHash } from '#src/auth/password.ts'
import type { Config } from '#src/config/config.ts'
import { endBrowsers } from '#src/database/browsers.ts'
import { restoreUser } from '#src/database/deleted-users.ts'
import { changePassword } from '#src/database/passwords.ts'
import { grant, grantDefaultRoles } from '#src/database/permissions.ts'
import type { Schema } from '#src/database/schema.ts'
import { removeSecondFactor } from '#src/database/second-factors.ts'
import { deleteOwnTokens } from '#src/database/token-endings.ts'
import { insertUser, verifyEmail } from '#src/database/users.ts'
import { unprocessable } from '#src/responses/errors.ts'
import type { Grantor, Operator } from './grantor.ts'
import { unknownNames } from './roles.ts'
import type { StaffActions } from './staff-actions.ts'

/** A user to be added; name and address are known to be well formed. */
export interface NewUser {
  name: string
  email: string
  password: PasswordHash
  /** Whether the address counts as verified, which gives the default roles. */
  verified: boolean
  /** The names of further roles. */
  roles: readonly string[]
}

/** What staff and operators do to users' accounts. Those that take a Grantor throw as `Subjects.act()`. */
export interface Users {
  /** Counts the e-mail address of a user as verified. */
  verifyEmail(grantor: Grantor, userId: number): Promise<void>
  /** Ends all tokens and sessions of a user. */
  endAccess(grantor: Grantor, userId: number): Promise<void>
  /**
   * Adds a user, and returns the id.
   *
   * @throws {HttpError} 422 when there is no such role
   * @throws {UserExists} when name or address are taken
   */
  create(operator: Operator, user: NewUser): Promise<number>
  /** Gives a user a new password, which ends all sessions, and all tokens if they are to be revoked. */
  setPassword(
    operator: Operator,
    userId: number,
    change: { hash: PasswordHash; revokesTokens: boolean },
  ): Promise<void>
  /** Brings back the user who was deleted under an address; false if there is none. */
  restore(operator: Operator, email: string): Promise<boolean>
  /** Takes a user's second factor away; false if there is none. */
  removeSecondFactor(operator: Operator, userId: number): Promise<boolean>
}

interface UsersOptions {
  kysely: Kysely<Schema>
  config: Pick<Config, 'tokenableTypes'>
  /** Milliseconds since the epoch. */
  clock(): number
  subjects: StaffActions
}

/** Makes the {@link Users} of a process. */
export function createUsers({ kysely, config, clock, subjects }: UsersOptions): Users {
  const types = config.tokenableTypes
  return {
    async verifyEmail(grantor, userId) {
      const { who, result: isNew } = await subjects.act(grantor, userId, (transaction, { email }) =>
        verifyEmail(transaction, { userId, email, types }, clock()),
      )
      if (isNew) grantor.record('email verified', who)
    },

    async endAccess(grantor, userId) {
      const { who, result: ended } = await subjects.act(grantor, userId, async transaction => {
        await endBrowsers(transaction, userId, { except: null })
        return deleteOwnTokens(transaction, { userId, types }, { except: null })
      })
      if (ended.length > 0)
        grantor.record('token revoked', { ...who, which: 'all', ...revokedDetails(ended) })
      grantor.record('session ended', { ...who, which: 'all' })
    },

    create: (_operator, { name, email, password, verified, roles }) =>
      kysely.transaction().execute(async transaction => {
        const userId = await insertUser(transaction, { name, email, password, verified, now: clock() })
        const holder = { userId, types }
        if (verified) await grantDefaultRoles(transaction, holder)
        const absent = await grant(transaction, 'role', holder, roles)
        if (absent.length > 0) throw unprocessable({ roles: [unknownNames('role', absent)] })
        return userId
      }),

    async setPassword(operator, userId, { hash, revokesTokens }) {
      const revokeTokens = revokesTokens ? types : null
      await changePassword(kysely, userId, hash, { keep: null, revokeTokens, now: clock() })
      operator.record('password changed', { userId, revokedTokens: revokesTokens })
    },

    async restore(operator, email) {
      const userId = await restoreUser(kysely, email, clock())
      if (userId !== null) operator.record('account restored', { userId })
      return userId !== null
    },

    async removeSecondFactor(operator, userId) {
      const isRemoved = await removeSecondFactor(kysely, userId, clock())
      if (isRemoved) operator.record('second factor removed', { userId })
      return isRemoved
    },
  }
}
