import { type RawBuilder, sql } from 'kysely'
import type { StoredOwner } from '../auth/identity.ts'
import { GUARDS } from '../auth/permission.ts'
import { millisToTimestamp } from '../auth/time.ts'

/** The columns of {@link selectOwner}. `user_id` is null when there is no such user. */
export interface OwnerRow {
  user_id: number | null
  user_name: string
  email: string
  email_verified_at: string | null
  two_factor_confirmed_at: string | null
  user_created_at: string
  user_updated_at: string
  permissions: string[]
  prohibitions: string[]
}

/**
 * The columns of a user `u` with what the user may and may not do, for any statement that joins `users` as `u`.
 *
 * @param userTypes the class names that mean a user
 * @param now milliseconds since the epoch, for prohibitions and sanctions that end
 */
export function selectOwner(userTypes: readonly string[], now: number): RawBuilder<unknown> {
  const types = sql`${userTypes}::text[]`
  const moment = sql`${millisToTimestamp(now)}::timestamp`
  return sql`
    u.id as user_id, u.name as user_name, u.email, u.email_verified_at, u.two_factor_confirmed_at,
    u.created_at as user_created_at, u.updated_at as user_updated_at,
    array(
      select p.name::text from permissions p
      where p.guard_name = any(${GUARDS}::text[]) and p.id in (
        select mp.permission_id from model_has_permissions mp
        where mp.model_id = u.id and mp.model_type = any(${types})
        union
        select rp.permission_id
        from model_has_roles mr
        join roles r on r.id = mr.role_id and r.guard_name = any(${GUARDS}::text[])
        join role_has_permissions rp on rp.role_id = r.id
        where mr.model_id = u.id and mr.model_type = any(${types})
      )
    ) as permissions,
    array(
      select p.name::text from prohibitions p
      where p.id in (
        select mp.prohibition_id from model_prohibitions mp
        where mp.model_id = u.id and mp.model_type = any(${types})
          and (mp.expires_at is null or mp.expires_at > ${moment})
        union
        select sp.prohibition_id
        from model_sanctions ms
        join sanction_prohibition sp on sp.sanction_id = ms.sanction_id
        where ms.model_id = u.id and ms.model_type = any(${types})
          and (ms.expires_at is null or ms.expires_at > ${moment})
      )
    ) as prohibitions`
}

/** The user in such a row; null when there is none. */
export const ownerOf = (row: OwnerRow): StoredOwner | null =>
  row.user_id === null
    ? null
    : {
        user: {
          id: row.user_id,
          name: row.user_name,
          email: row.email,
          emailVerifiedAt: row.email_verified_at,
          twoFactorConfirmedAt: row.two_factor_confirmed_at,
          createdAt: row.user_created_at,
          updatedAt: row.user_updated_at,
        },
        permissions: row.permissions,
        prohibitions: row.prohibitions,
      }
