import { type Kysely, sql } from 'kysely'
import { emailKey } from '#src/auth/email.ts'
import { GUARDS } from '#src/auth/permission.ts'
import { PANEL_NOTIFICATION } from '#src/input/notification.ts'
import { foldCase } from './fold-case.ts'
import { escapeLike } from './like.ts'
import type { Schema, TimestampText } from './schema.ts'

/** A user as staff see one in a list. */
export interface ListedUser {
  id: number
  name: string
  email: string
  isVerified: boolean
  createdAt: TimestampText
  /** The names of the roles, highest priority first. */
  roles: string[]
}

/** The columns of a {@link ListedUser}, of the table `u`. */
const listedUserColumns = (types: readonly string[]) => sql`
  u.id, u.name, u.email, u.email_verified_at is not null as "isVerified", u.created_at::text as "createdAt",
  array(
    select r.name from model_has_roles m join roles r on r.id = m.role_id and r.guard_name = any(${GUARDS}::text[])
    where m.model_id = u.id and m.model_type = any(${types}::text[])
    group by r.name order by max(r.priority) desc, r.name
  ) as roles`

/**
 * Searches users who are not deleted: name or e-mail address contains the text (case-insensitively), the text is a form
 * of the address, or the id. Newest first.
 *
 * @param search.text empty for all users
 * @param search.types the `model_type` values of users
 */
export async function searchUsers(
  db: Kysely<Schema>,
  {
    text,
    role = null,
    types,
    offset,
    limit,
  }: { text: string; role?: string | null; types: readonly string[]; offset: number; limit: number },
): Promise<ListedUser[]> {
  // PostgreSQL rejects NUL in text.
  if (text.includes('\0')) return []
  const pattern = foldCase(sql`${`%${escapeLike(text)}%`}::text`)
  const { rows } = await sql<ListedUser>`
    select ${listedUserColumns(types)} from users u
    where u.deleted_at is null and (
      ${foldCase(sql`u.name`)} like ${pattern} or ${foldCase(sql`u.email`)} like ${pattern}
      or u.email_key = ${emailKey(text)} or u.id::text = ${text}
    ) and (${role}::text is null or exists (
      select from model_has_roles m join roles r on r.id = m.role_id and r.guard_name = any(${GUARDS}::text[])
      where m.model_id = u.id and m.model_type = any(${types}::text[]) and r.name = ${role}
    ))
    order by u.id desc offset ${offset} limit ${limit}`.execute(db)
  return rows
}

/** A stored notification. */
interface StoredNotification {
  id: string
  type: string
  /** JSON as stored. */
  data: string
  readAt: TimestampText | null
  createdAt: TimestampText | null
}

/** A user as staff see one in detail. */
export interface UserDetails extends ListedUser {
  hasSecondFactor: boolean
  /** The names of all permissions, by roles or directly. */
  permissions: string[]
  tokens: number
  sessions: number
  /** The newest notifications. */
  notifications: StoredNotification[]
}

const MAX_NOTIFICATIONS = 20

/** Returns the details of a user; null if the user does not exist or is deleted. */
export async function findUserDetails(
  db: Kysely<Schema>,
  userId: number,
  types: readonly string[],
): Promise<UserDetails | null> {
  const isGiven = (table: string) => sql`
    ${sql.ref(`${table}.model_id`)} = u.id and ${sql.ref(`${table}.model_type`)} = any(${types}::text[])`
  const { rows } = await sql<UserDetails>`
    select ${listedUserColumns(types)},
      u.two_factor_secret is not null and u.two_factor_confirmed_at is not null as "hasSecondFactor",
      array(
        select p.name from permissions p where p.guard_name = any(${GUARDS}::text[]) and (
          p.id in (select d.permission_id from model_has_permissions d where ${isGiven('d')}) or p.id in (
            select rp.permission_id from model_has_roles m
            join roles r on r.id = m.role_id and r.guard_name = any(${GUARDS}::text[])
            join role_has_permissions rp on rp.role_id = r.id where ${isGiven('m')}
          )
        ) group by p.name order by p.name
      ) as permissions,
      (select count(*)::int from personal_access_tokens
        where tokenable_id = u.id and tokenable_type = any(${types}::text[])) as tokens,
      (select count(*)::int from sessions where user_id = u.id) as sessions,
      (select coalesce(json_agg(n), '[]') from (
        select id, type, data::text as data, read_at::text as "readAt", created_at::text as "createdAt"
        from notifications
        where notifiable_id = u.id and notifiable_type = any(${types}::text[]) and type <> ${PANEL_NOTIFICATION}
        order by notifications.created_at desc nulls last, id limit ${MAX_NOTIFICATIONS}
      ) as n) as notifications
    from users u where u.id = ${userId}::bigint and u.deleted_at is null`.execute(db)
  const [row] = rows
  return row ?? null
}
