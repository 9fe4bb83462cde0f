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
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Grantor, Operator } from './grantor.ts'
import { unknownNames } from './roles.ts'
import type { StaffActions } from './staff-actions.ts'

/** A user to create. Name and address are already validated. */
export interface NewUser {
  name: string
  email: string
  password: PasswordHash
  /** Whether the address counts as verified, which grants the default roles. */
  verified: boolean
  /** Names of additional roles. */
  roles: readonly string[]
}

/** Actions of staff and operators on accounts. Methods that take a Grantor throw as {@link StaffActions.act}. */
export interface Users {
  /** Marks the e-mail address of a user as verified. */
  verifyEmail(grantor: Grantor, userId: number): Promise<void>
  /** Ends all tokens and sessions of a user. */
  endAccess(grantor: Grantor, userId: number): Promise<void>
  /**
   * Creates a user. Returns the id.
   *
   * @throws {HttpError} 422 for an unknown role
   * @throws {UserExists} when name or address are taken
   */
  create(operator: Operator, user: NewUser): Promise<number>
  /** Sets a user's password and ends all sessions, and optionally all tokens. */
  setPassword(
    operator: Operator,
    userId: number,
    change: { hash: PasswordHash; revokesTokens: boolean },
  ): Promise<void>
  /** Restores the deleted user of an address. Returns false if there is none. */
  restore(operator: Operator, email: string): Promise<boolean>
  /** Removes a user's second factor. Returns false if there is none. */
  removeSecondFactor(operator: Operator, userId: number): Promise<boolean>
}

interface UsersOptions {
  kysely: Kysely<Schema>
  config: Pick<Config, 'tokenableTypes'>
  clock(): EpochMillis
  staffActions: StaffActions
}

/** Creates the {@link Users} of a process. */
export function createUsers({ kysely, config, clock, staffActions }: UsersOptions): Users {
  const types = config.tokenableTypes
  return {
    async verifyEmail(grantor, userId) {
      const { eventUsers, result: isNew } = await staffActions.act(
        grantor,
        userId,
        (transaction, { email }) => verifyEmail(transaction, { userId, email, types }, clock()),
      )
      if (isNew) grantor.record('email verified', eventUsers)
    },

    async endAccess(grantor, userId) {
      const { eventUsers, result: ended } = await staffActions.act(grantor, userId, async transaction => {
        await endBrowsers(transaction, userId, { except: null })
        return deleteOwnTokens(transaction, { userId, types }, { except: null })
      })
      if (ended.length > 0)
        grantor.record('token revoked', { ...eventUsers, which: 'all', ...revokedDetails(ended) })
      grantor.record('session ended', { ...eventUsers, which: 'all' })
    },

    create: (_operator, { name, email, password, verified, roles }) =>
      kysely.transaction().execute(async transaction => {
        const userId = await insertUser(transaction, { name, email, password, verified, now: clock() })
        const holder = { userId, types }
        if (verified) await grantDefaultRoles(transaction, holder)
        const unknown = await grant(transaction, 'role', holder, roles)
        if (unknown.length > 0) throw unprocessable({ roles: [unknownNames('role', unknown)] })
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
