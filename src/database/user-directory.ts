import { type Kysely, sql } from 'kysely'
import { emailKey } from '#src/auth/email.ts'
import { GUARDS } from '#src/auth/permission.ts'
import { PANEL_NOTIFICATION } from '#src/input/notification.ts'
import { escapeLike } from './like.ts'
import type { Schema, TimestampText } from './schema.ts'

/** A user, as those who run the place find one. */
export interface ListedUser {
  id: number
  name: string
  email: string
  isVerified: boolean
  createdAt: TimestampText
  /** The names of its roles, highest priority first. */
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
 * The users who are not deleted and whose name or e-mail address contains a text, without regard to case, whose address
 * it is in whatever form, or whose id it is; newest first.
 *
 * @param search.text nothing for all users
 * @param search.role the name of a role that they have; null for any
 * @param search.types the class names that mean a user
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
  // No text of PostgreSQL's has a NUL, and asking for one is an error.
  if (text.includes('\0')) return []
  const pattern = `%${escapeLike(text)}%`
  const { rows } = await sql<ListedUser>`
    select ${listedUserColumns(types)} from users u
    where u.deleted_at is null and (
      u.name ilike ${pattern} or u.email ilike ${pattern} or u.email_key = ${emailKey(text)} or u.id::text = ${text}
    ) and (${role}::text is null or exists (
      select from model_has_roles m join roles r on r.id = m.role_id and r.guard_name = any(${GUARDS}::text[])
      where m.model_id = u.id and m.model_type = any(${types}::text[]) and r.name = ${role}
    ))
    order by u.id desc offset ${offset} limit ${limit}`.execute(db)
  return rows
}

/** A notification, as its row has it. */
interface StoredNotification {
  id: string
  type: string
  /** JSON, as it was written. */
  data: string
  readAt: TimestampText | null
  createdAt: TimestampText | null
}

/** All that those who run the place see of a user. */
export interface UserDetails extends ListedUser {
  hasSecondFactor: boolean
  /** The names of all permissions that it has, by roles or directly. */
  permissions: string[]
  tokens: number
  sessions: number
  /** The newest ones. */
  notifications: StoredNotification[]
}

const SHOWN_NOTIFICATIONS = 20

/** What there is to know of a user who is not deleted; null if there is no such user. */
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
        order by notifications.created_at desc nulls last, id limit ${SHOWN_NOTIFICATIONS}
      ) as n) as notifications
    from users u where u.id = ${userId}::bigint and u.deleted_at is null`.execute(db)
  const [row] = rows
  return row ?? null
}
