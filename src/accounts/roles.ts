import type { Kysely } from 'kysely'
import type { Identity } from '#src/auth/identity.ts'
import { hasAllPermissions } from '#src/auth/permission.ts'
import type { Config } from '#src/config/config.ts'
import { lockUser } from '#src/database/authority.ts'
import { type Grantable, grant, revoke } from '#src/database/permissions.ts'
import {
  type Change,
  countHolders,
  diffNames,
  listRoles,
  type Role,
  type RoleSnapshot,
  setRolePermissions,
  setUserRoles,
} from '#src/database/roles.ts'
import type { Schema } from '#src/database/schema.ts'
import type { UserDetails } from '#src/database/user-directory.ts'
import { forbidden, HttpError, notFound, unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Grantor, Operator } from './grantor.ts'
import type { StaffActions } from './staff-actions.ts'

/** The permissions that a role shall have. */
export interface RolePermissions {
  /** Names of permissions. Unknown names are ignored. */
  names: readonly string[]
  /** The version of the `RoleSnapshot` that the page was rendered from (optimistic lock). */
  version: number
}

/** Roles of users and permissions of roles. Staff can grant and revoke only permissions that they hold themselves. */
export interface Roles {
  /** Returns all roles and permissions. */
  book(): Promise<RoleSnapshot>
  /**
   * Returns one role.
   *
   * @throws {HttpError} 404 when there is no such role
   */
  find(roleId: number): Promise<{ book: RoleSnapshot; role: Role }>
  /**
   * Computes which roles a user would gain and lose. Nothing is locked: `setForUser` checks everything again.
   *
   * @throws {HttpError} as `setForUser`
   */
  previewUserRoles(
    actor: Identity,
    userId: number,
    names: readonly string[],
  ): Promise<{ target: UserDetails; change: Change }>
  /**
   * Sets a user's roles by name. Unknown names are ignored.
   *
   * @throws {HttpError} 403 for a role with permissions that the actor does not hold, and as {@link StaffActions.act}
   */
  setForUser(staff: Grantor<Identity>, userId: number, names: readonly string[]): Promise<void>
  /**
   * Computes which permissions a role would gain and lose. Nothing is locked: `setPermissions` checks everything
   * again.
   *
   * @throws {HttpError} as `setPermissions`
   */
  previewPermissions(
    actor: Identity,
    roleId: number,
    wanted: RolePermissions,
  ): Promise<{ role: Role; change: Change }>
  /** Counts the users who have a role. */
  countHolders(roleId: number): Promise<number>
  /**
   * Sets a role's permissions.
   *
   * @throws {HttpError} 404 when there is no such role, 403 when its old or new permissions include one that the
   *   actor does not hold, 409 when roles have changed since `version`
   */
  setPermissions(staff: Grantor<Identity>, roleId: number, wanted: RolePermissions): Promise<void>
  /**
   * Grants a user a role or a permission.
   *
   * @throws {HttpError} 422 for an unknown name
   */
  grant(operator: Operator, userId: number, kind: Grantable, name: string): Promise<void>
  /**
   * Revokes a role or a permission from a user.
   *
   * @throws {HttpError} 422 for an unknown name
   */
  revoke(operator: Operator, userId: number, kind: Grantable, name: string): Promise<void>
}

interface RolesOptions {
  kysely: Kysely<Schema>
  config: Pick<Config, 'tokenableTypes'>
  staffActions: StaffActions
}

/** The error message for unknown names. */
export const unknownNames = (kind: Grantable, names: readonly string[]): string =>
  `There is no ${kind} ${names.join(', ')}.`

/** Creates the {@link Roles} of a process. */
export function createRoles({ kysely, config, staffActions }: RolesOptions): Roles {
  const types = config.tokenableTypes

  const find = async (roleId: number) => {
    const book = await listRoles(kysely)
    const role = book.roles.find(({ id }) => id === roleId)
    if (role === undefined) throw notFound()
    return { book, role }
  }

  /** Grants or revokes by name, under the user's lock: concurrent forms of staff wait and see the change. */
  const applyByName = (apply: typeof grant, userId: number, kind: Grantable, name: string) =>
    kysely.transaction().execute(async transaction => {
      await lockUser(transaction, userId)
      const unknown = await apply(transaction, kind, { userId, types }, [name])
      if (unknown.length > 0) throw unprocessable({ [kind]: [unknownNames(kind, unknown)] })
    })

  return {
    book: () => listRoles(kysely),
    find,

    async previewUserRoles(actor, userId, names) {
      const target = await staffActions.findTarget(actor, userId)
      const { roles } = await listRoles(kysely)
      const namesOf = (all: readonly string[]) =>
        roles.filter(({ name }) => all.includes(name)).map(({ name }) => name)
      const change = diffNames(namesOf(target.roles), namesOf(names))
      const changed = [...change.granted, ...change.revoked]
      const mayChange = roles.every(
        ({ name, permissions }) => !changed.includes(name) || hasAllPermissions(actor, permissions),
      )
      if (!mayChange) throw forbidden(MESSAGES.outranked)
      return { target, change }
    },

    async setForUser(staff, userId, names) {
      const { eventUsers, result: changed } = await staffActions.act(
        staff,
        userId,
        (transaction, _target, identity) =>
          setUserRoles(
            transaction,
            { userId, types },
            {
              names,
              mayChange: role => hasAllPermissions(identity, role.permissions),
            },
          ),
      )
      if (changed === 'not allowed') throw forbidden(MESSAGES.outranked)
      for (const name of changed.granted) staff.record('role granted', { ...eventUsers, name })
      for (const name of changed.revoked) staff.record('role revoked', { ...eventUsers, name })
    },

    async previewPermissions(actor, roleId, { names, version }) {
      const { book, role } = await find(roleId)
      const wanted = book.permissions.filter(name => names.includes(name))
      if (!hasAllPermissions(actor, [...role.permissions, ...wanted])) throw forbidden(MESSAGES.outranked)
      if (book.version !== version) throw new HttpError(409, MESSAGES.changedMeanwhile)
      return { role, change: diffNames(role.permissions, wanted) }
    },

    countHolders: roleId => countHolders(kysely, roleId, types),

    async setPermissions(staff, roleId, { names, version }) {
      const { userId, changed } = await staff.authorized(
        async (transaction, identity) => ({
          userId: identity.user.id,
          changed: await setRolePermissions(transaction, roleId, {
            names,
            version,
            holdsAll: permissions => hasAllPermissions(identity, permissions),
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
