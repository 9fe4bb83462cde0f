import { hashPassword } from '#src/auth/password.ts'

/** Runs a statement on any engine. */
export type Query = (text: string, values?: unknown[]) => Promise<{ rows: Record<string, unknown>[] }>

/** A user of the workload with a token that never expires. */
export interface User {
  id: number
  email: string
  password: string
  token: string
  /** A token that was revoked before the workload started. */
  revoked: string
  /** Unread notifications. */
  notifications: string[]
}

const USERS = 8
const NOTIFICATIONS = 2_000
const PASSWORD = 'chaos-Password-1'

/** The value of Laravel's type columns for users. */
const TYPE = 'App\\Models\\Auth\\User'

/** Adds the users of the workload to a migrated database that has the permissions. */
export async function seedUsers(query: Query): Promise<User[]> {
  const password = await hashPassword(PASSWORD, 10)
  await query(
    `insert into users (name, email, password, email_verified_at)
     select 'chaos' || n, 'chaos' || n || '@example.org', $1, now() from generate_series(1, ${USERS}) as n`,
    [password],
  )
  await query(
    `insert into model_has_roles (role_id, model_type, model_id)
     select r.id, $1, u.id from users u, roles r where r.name = 'Verified' and u.name like 'chaos%'`,
    [TYPE],
  )
  for (const kind of ['valid', 'revoked']) {
    await query(
      `insert into personal_access_tokens (tokenable_type, tokenable_id, name, token, abilities, created_at)
       select $1, id, $2, encode(sha256(($2 || name)::bytea), 'hex'), '["*"]', now() from users
       where name like 'chaos%'`,
      [TYPE, kind],
    )
  }
  await query(
    `insert into notifications (id, type, notifiable_type, notifiable_id, data, created_at)
     select gen_random_uuid(), 'App\\Notifications\\Chaos', $1, id, '{}', now()
     from users, generate_series(1, ${NOTIFICATIONS / USERS}) where name like 'chaos%'`,
    [TYPE],
  )
  const users = await readUsers(query)
  await query(`delete from personal_access_tokens where name = 'revoked'`)
  return users
}

async function readUsers(query: Query): Promise<User[]> {
  const { rows } = await query(
    `select u.id, u.name, u.email,
       (select t.id from personal_access_tokens t where t.tokenable_id = u.id and t.name = 'valid') as valid,
       (select t.id from personal_access_tokens t where t.tokenable_id = u.id and t.name = 'revoked') as revoked,
       (select json_agg(n.id) from notifications n where n.notifiable_id = u.id) as notifications
     from users u where u.name like 'chaos%' order by u.id`,
  )
  return rows.map(row => ({
    id: Number(row.id),
    email: String(row.email),
    password: PASSWORD,
    token: `${row.valid}|valid${row.name}`,
    revoked: `${row.revoked}|revoked${row.name}`,
    notifications: listOf(row.notifications),
  }))
}

/** Parses a JSON aggregate, which PGlite returns as text. */
const listOf = (value: unknown) => (typeof value === 'string' ? JSON.parse(value) : value) as string[]
