import type { Kysely, Transaction } from 'kysely'
import type { Identity } from '#src/auth/identity.ts'
import { hasAllPermissions } from '#src/auth/permission.ts'
import type { Config } from '#src/config/config.ts'
import type { Schema } from '#src/database/schema.ts'
import { findUserDetails, type UserDetails } from '#src/database/user-directory.ts'
import { forbidden, notFound } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Authority, Grantor } from './grantor.ts'

/** The result of a staff action. */
export interface StaffActionResult<T> {
  /** The user before. */
  target: UserDetails
  result: T
  /** The target user and the actor, for the event. */
  eventUsers: { userId: number; by?: number }
}

/**
 * Actions of staff and operators on a target user. Staff can act only on users whose permissions they hold
 * themselves, and not on themselves.
 */
export interface StaffActions {
  /** @throws {HttpError} 404 when there is no such user */
  find(userId: number): Promise<UserDetails>
  /** Whether the actor outranks a user. */
  mayActOn(actor: Identity, target: UserDetails): boolean
  /**
   * Finds a target user for a confirmation page. `act` checks the ranks again.
   *
   * @throws {HttpError} 404 when there is no such user, 403 when the actor may not act on the user
   */
  findTarget(actor: Identity, userId: number): Promise<UserDetails>
  /**
   * Acts on a target user. The ranks are checked in the same transaction, under the locks of both users.
   *
   * @throws {HttpError} as `findTarget`, and as {@link Grantor.authorized}
   */
  act<T, A extends Authority>(
    grantor: Grantor<A>,
    userId: number,
    apply: (transaction: Transaction<Schema>, target: UserDetails, authority: A) => Promise<T>,
  ): Promise<StaffActionResult<T>>
}

/** Creates the {@link StaffActions} of a process. */
export function createStaffActions({
  kysely,
  config,
}: {
  kysely: Kysely<Schema>
  config: Pick<Config, 'tokenableTypes'>
}): StaffActions {
  const find = async (userId: number, db = kysely): Promise<UserDetails> => {
    const file = await findUserDetails(db, userId, config.tokenableTypes)
    if (file === null) throw notFound()
    return file
  }
  return {
    find: userId => find(userId),
    mayActOn: (actor, { id, permissions }) => id !== actor.user.id && hasAllPermissions(actor, permissions),
    async findTarget(actor, userId) {
      const target = await find(userId)
      requireRank(actor, target)
      return target
    },
    act(grantor, userId, apply) {
      return grantor.authorized(
        async (transaction, authority) => {
          const target = await find(userId, transaction)
          if (authority.via !== 'operator') requireRank(authority, target)
          const result = await apply(transaction, target, authority)
          const eventUsers = authority.via === 'operator' ? { userId } : { userId, by: authority.user.id }
          return { target, result, eventUsers }
        },
        { targetUserId: userId },
      )
    },
  }
}

/**
 * @throws {HttpError} 403 for the actor's own account, and for a user with a permission that the actor does not hold
 */
function requireRank(actor: Identity, { id, permissions }: UserDetails): void {
  if (id === actor.user.id) throw forbidden(MESSAGES.notToYourself)
  if (!hasAllPermissions(actor, permissions)) throw forbidden(MESSAGES.outranked)
}
