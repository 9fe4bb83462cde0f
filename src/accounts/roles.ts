import type { Kysely } from 'kysely'
import type { Identity } from '#src/auth/identity.ts'
import { holds } from '#src/auth/permission.ts'
import type { Config } from '#src/config/config.ts'
import { lockUser } from '#src/database/authority.ts'
import { type Grantable, grant, revoke } from '#src/database/permissions.ts'
import {
  type Change,
  changeOf,
  countHolders,
  listRoles,
  type Role,
  type RoleBook,
  setRolePermissions,
  setUserRoles,
} from '#src/database/roles.ts'
import type { Schema } from '#src/database/schema.ts'
import type { UserFile } from '#src/database/user-directory.ts'
import { forbidden, HttpError, notFound, unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Grantor, Operator } from './grantor.ts'
import type { StaffActions } from './staff-actions.ts'

/** What a role is to allow. */
export interface RolePermissions {
  /** The names of permissions; what is none is left out. */
  names: readonly string[]
  /** That of the {@link RoleBook} that was looked at. */
  version: number
}

/** Who has which roles, and what these allow. Nobody gives or takes what they may not do themselves. */
export interface Roles {
  /** All roles and permissions. */
  book(): Promise<RoleBook>
  /** One role of the book. @throws {HttpError} 404 when there is no such role */
  find(roleId: number): Promise<{ book: RoleBook; role: Role }>
  /**
   * What would change if a user had exactly some roles.
   *
   * @throws {HttpError} as `setForUser`, which judges it again
   */
  changeForUser(
    actor: Identity,
    userId: number,
    names: readonly string[],
  ): Promise<{ subject: UserFile; change: Change }>
  /**
   * Gives a user exactly some roles, by their names; what is none is left out.
   *
   * @throws {HttpError} 403 for a role that allows more than whoever asks may do, and as `Subjects.act()`
   */
  setForUser(staff: Grantor<Identity>, userId: number, names: readonly string[]): Promise<void>
  /**
   * What would change if a role allowed exactly some things, and for how many users.
   *
   * @throws {HttpError} as `setPermissions`, which judges it again
   */
  changeOfPermissions(
    actor: Identity,
    roleId: number,
    wanted: RolePermissions,
  ): Promise<{ role: Role; change: Change }>
  /** How many users have a role. */
  countHolders(roleId: number): Promise<number>
  /**
   * Has a role allow exactly some things.
   *
   * @throws {HttpError} 404 when there is no such role, 403 when it allows or would allow more than whoever asks may do,
   *   409 when roles have changed since they were looked at
   */
  setPermissions(staff: Grantor<Identity>, roleId: number, wanted: RolePermissions): Promise<void>
  /** Gives a user a role or a permission. @throws {HttpError} 422 when there is none of that name */
  grant(operator: Operator, userId: number, kind: Grantable, name: string): Promise<void>
  /** Takes it from the user. @throws {HttpError} 422 when there is none of that name */
  revoke(operator: Operator, userId: number, kind: Grantable, name: string): Promise<void>
}

interface RolesOptions {
  kysely: Kysely<Schema>
  config: Pick<Config, 'tokenableTypes'>
  subjects: StaffActions
}

/** Says that there is nothing of some names. */
export const unknownNames = (kind: Grantable, names: readonly string[]): string =>
  `There is no ${kind} ${names.join(', ')}.`

/** Makes the {@link Roles} of a process. */
export function createRoles({ kysely, config, subjects }: RolesOptions): Roles {
  const types = config.tokenableTypes

  const find = async (roleId: number) => {
    const book = await listRoles(kysely)
    const role = book.roles.find(({ id }) => id === roleId)
    if (role === undefined) throw notFound()
    return { book, role }
  }

  /** Gives or takes by name, under the user's lock: forms of staff wait, and see it. */
  const applyByName = (apply: typeof grant, userId: number, kind: Grantable, name: string) =>
    kysely.transaction().execute(async transaction => {
      await lockUser(transaction, userId)
      const absent = await apply(transaction, kind, { userId, types }, [name])
      if (absent.length > 0) throw unprocessable({ [kind]: [unknownNames(kind, absent)] })
    })

  return {
    book: () => listRoles(kysely),
    find,

    async changeForUser(actor, userId, names) {
      const subject = await subjects.judged(actor, userId)
      const { roles } = await listRoles(kysely)
      const namesOf = (all: readonly string[]) =>
        roles.filter(({ name }) => all.includes(name)).map(({ name }) => name)
      const change = changeOf(namesOf(subject.roles), namesOf(names))
      const changed = [...change.granted, ...change.revoked]
      const mayChange = roles.every(
        ({ name, permissions }) => !changed.includes(name) || holds(actor, permissions),
      )
      if (!mayChange) throw forbidden(MESSAGES.outranked)
      return { subject, change }
    },

    async setForUser(staff, userId, names) {
      const { who, result: changed } = await subjects.act(staff, userId, (transaction, _subject, identity) =>
        setUserRoles(
          transaction,
          { userId, types },
          {
            names,
            mayChange: role => holds(identity, role.permissions),
          },
        ),
      )
      if (changed === 'not allowed') throw forbidden(MESSAGES.outranked)
      for (const name of changed.granted) staff.record('role granted', { ...who, name })
      for (const name of changed.revoked) staff.record('role revoked', { ...who, name })
    },

    async changeOfPermissions(actor, roleId, { names, version }) {
      const { book, role } = await find(roleId)
      const wanted = book.permissions.filter(name => names.includes(name))
      if (!holds(actor, [...role.permissions, ...wanted])) throw forbidden(MESSAGES.outranked)
      if (book.version !== version) throw new HttpError(409, MESSAGES.changedMeanwhile)
      return { role, change: changeOf(role.permissions, wanted) }
    },

    countHolders: roleId => countHolders(kysely, roleId, types),

    async setPermissions(staff, roleId, { names, version }) {
      const { userId, changed } = await staff.authorized(
        async (transaction, identity) => ({
          userId: identity.user.id,
          changed: await setRolePermissions(transaction, roleId, {
            names,
            version,
            holdsAll: permissions => holds(identity, permissions),
          }),
        }),
        { changesRoles: true },
      )
      if (changed === 'no such role') throw notFound()
      if (changed === 'changed meanwhile') throw new HttpError(409, MESSAGES.changedMeanwhile)
      if (changed === 'not allowed') throw forbidden(MESSAGES.outranked)
      const { role, granted, revoked } = changed
      const details = { role, granted: granted.join(', '), revoked: revoked.join(', ') }
      staff.record('role changed', { userId, ...details })
    },

    async grant(operator, userId, kind, name) {
      await applyByName(grant, userId, kind, name)
      operator.record(`${kind} granted`, { userId, name })
    },

    async revoke(operator, userId, kind, name) {
      await applyByName(revoke, userId, kind, name)
      operator.record(`${kind} revoked`, { userId, name })
    },
  }
}
