import type { Kysely, Transaction } from 'kysely'
import type { Identity } from '#src/auth/identity.ts'
import { holds } from '#src/auth/permission.ts'
import type { Config } from '#src/config/config.ts'
import type { Schema } from '#src/database/schema.ts'
import { findUserFile, type UserFile } from '#src/database/user-directory.ts'
import { forbidden, notFound } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Authority, Grantor } from './grantor.ts'

/** What was done to a user. */
export interface Done<T> {
  /** The user before. */
  subject: UserFile
  result: T
  /** Whose account it is, and who did it: for the record. */
  who: { userId: number; by?: number }
}

/**
 * Users to whom somebody else does something. Staff act on users who may do nothing that they may not do themselves, and
 * not on themselves.
 */
export interface StaffActions {
  /** @throws {HttpError} 404 when there is no such user */
  find(userId: number): Promise<UserFile>
  /** Whether staff may act on a user at all. */
  mayActOn(actor: Identity, subject: UserFile): boolean
  /**
   * A user on whom staff may act, for a question about what is to be done: that is judged again when it is done.
   *
   * @throws {HttpError} 404 when there is no such user, 403 when staff may not act on that one
   */
  judged(actor: Identity, userId: number): Promise<UserFile>
  /**
   * Does something to a user. Whether that is allowed is judged in the same transaction, by what holds at commit.
   *
   * @throws {HttpError} as `judged`, and as `authorized`
   */
  act<T, A extends Authority>(
    grantor: Grantor<A>,
    userId: number,
    apply: (transaction: Transaction<Schema>, subject: UserFile, authority: A) => Promise<T>,
  ): Promise<Done<T>>
}

/** Makes the {@link StaffActions} of a process. */
export function createStaffActions({
  kysely,
  config,
}: {
  kysely: Kysely<Schema>
  config: Pick<Config, 'tokenableTypes'>
}): StaffActions {
  const find = async (userId: number, db = kysely): Promise<UserFile> => {
    const file = await findUserFile(db, userId, config.tokenableTypes)
    if (file === null) throw notFound()
    return file
  }
  return {
    find: userId => find(userId),
    mayActOn: (actor, { id, permissions }) => id !== actor.user.id && holds(actor, permissions),
    async judged(actor, userId) {
      const subject = await find(userId)
      requireRank(actor, subject)
      return subject
    },
    act(grantor, userId, apply) {
      return grantor.authorized(
        async (transaction, authority) => {
          const subject = await find(userId, transaction)
          if (authority.via !== 'operator') requireRank(authority, subject)
          const result = await apply(transaction, subject, authority)
          const who = authority.via === 'operator' ? { userId } : { userId, by: authority.user.id }
          return { subject, result, who }
        },
        { subjectId: userId },
      )
    },
  }
}

/** @throws {HttpError} 403 for a user who is the actor, or may do something that the actor may not */
function requireRank(actor: Identity, { id, permissions }: UserFile): void {
  if (id === actor.user.id) throw forbidden(MESSAGES.notToYourself)
  if (!holds(actor, permissions)) throw forbidden(MESSAGES.outranked)
}
