import { createHash } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import { hashPassword } from '#src/auth/password.ts'
import { passwordStamp, SessionId, type SessionPayload } from '#src/auth/session.ts'
import { databaseOver } from '#src/database/connect.ts'
import { migrate } from '#src/database/migrate.ts'
import { seedPermissions } from '#src/database/permissions.ts'
import { postgresConnections } from '#src/database/postgres.ts'
import type { Schema } from '#src/database/schema.ts'
import type { Call } from './load.ts'
import { APP_URL } from './servers.ts'

const USERS = 10_000
const TOKENS = 100_000

/** Measured callers, each a different user. */
const CALLERS = 1_024

/** Callers with playlists. */
const LISTERS = 128
const PLAYLISTS = 100

/** Users with a password hash of the default cost. */
const LOGINS = 64
const LOGIN_COST = 12

/** One of so many tokens is a caller's. */
const STRIDE = 89

/** The requests of callers, by kind. */
export interface Calls {
  /** Users with a token, without rate limit. */
  tokens: Call[]
  /** Ten thousand of these users, a token each. */
  manyTokens: Call[]
  /** Users with a session, without rate limit. */
  sessions: Call[]
  /** Users with a token, with a rate limit. */
  limited: Call[]
  /** Users with a token and a hundred playlists. */
  listers: Call[]
  /** Browsers that log in. */
  logins: Call[]
  /** All 100,000 tokens. */
  allTokens: Call[]
}

/** Fills a database with users and their rows, unless it is already filled. */
export async function fill(url: string): Promise<Calls> {
  const database = databaseOver({ ...postgresConnections(url, () => {}), open: async () => {} })
  const { migrations: kysely } = database
  await migrate(kysely)
  await seedPermissions(kysely, Date.now())
  if (!(await has(kysely, 'user1'))) await addUsers(kysely)
  await addPlaylists(kysely)
  if (!(await has(kysely, 'limited1'))) await addLimited(kysely)
  if (!(await has(kysely, 'login1'))) await addLogins(kysely)
  const sessions = await addSessions(kysely)
  await sql`vacuum analyze`.execute(kysely)
  const tokens = await tokenCalls(kysely)
  const limited = await limitedCalls(kysely)
  await database.close()

  const callers = Array.from({ length: CALLERS }, (_, n) => tokens[n * STRIDE] as Call)
  return {
    tokens: callers,
    manyTokens: tokens.slice(0, USERS),
    sessions,
    limited,
    listers: callers.slice(0, LISTERS),
    logins: loginCalls(),
    allTokens: tokens,
  }
}

async function has(kysely: Kysely<Schema>, name: string) {
  const user = await kysely.selectFrom('users').select('id').where('name', '=', name).executeTakeFirst()
  return user !== undefined
}

async function addUsers(kysely: Kysely<Schema>) {
  const password = await hashPassword('password', 4)
  await sql`
    insert into users (name, email, password)
    select 'user' || n, 'user' || n || '@example.org', ${password} from generate_series(1, ${USERS}) as n`.execute(
    kysely,
  )
  await sql`
    insert into personal_access_tokens (tokenable_type, tokenable_id, name, token, abilities, created_at)
    select 'App\\Models\\Auth\\User', 1 + n % ${USERS}, 'bench', encode(sha256(('secret' || n)::bytea), 'hex'), '["*"]', now()
    from generate_series(1, ${TOKENS}) as n`.execute(kysely)
  await sql`
    insert into model_has_permissions (permission_id, model_type, model_id)
    select p.id, 'App\\Models\\Auth\\User', u.id from users u, permissions p where p.name = 'bypass api rate limiter'`.execute(
    kysely,
  )
  await addVerified(kysely, 'user')
}

async function addPlaylists(kysely: Kysely<Schema>) {
  await sql`
    insert into playlists (hashid, name, visibility, description, user_id, created_at)
    select
      'u' || caller || 'p' || n, 'Best openings, volume ' || n, n % 3,
      case when n % 2 = 0 then 'What I listen to on the way to work, newest first.' end,
      1 + (1 + caller * ${STRIDE}) % ${USERS}, now() - n * interval '1 day'
    from generate_series(0, ${LISTERS - 1}) as caller, generate_series(1, ${PLAYLISTS}) as n
    on conflict do nothing`.execute(kysely)
}

/** Grants users the role of a verified e-mail address. */
async function addVerified(kysely: Kysely<Schema>, prefix: string) {
  await sql`
    insert into model_has_roles (role_id, model_type, model_id)
    select r.id, 'App\\Models\\Auth\\User', u.id from users u, roles r
    where r.name = 'Verified' and u.name like ${`${prefix}%`}`.execute(kysely)
}

async function addLimited(kysely: Kysely<Schema>) {
  const password = await hashPassword('password', 4)
  await sql`
    with added as (
      insert into users (name, email, password)
      select 'limited' || n, 'limited' || n || '@example.org', ${password} from generate_series(1, ${CALLERS}) as n
      returning id, name
    )
    insert into personal_access_tokens (tokenable_type, tokenable_id, name, token, abilities, created_at)
    select 'App\\Models\\Auth\\User', id, name, encode(sha256(name::bytea), 'hex'), '["*"]', now() from added`.execute(
    kysely,
  )
  await addVerified(kysely, 'limited')
}

/** All share one hash, which each login verifies. */
async function addLogins(kysely: Kysely<Schema>) {
  const password = await hashPassword('password', LOGIN_COST)
  await sql`
    insert into users (name, email, password)
    select 'login' || n, 'login' || n || '@example.org', ${password} from generate_series(1, ${LOGINS}) as n`.execute(
    kysely,
  )
}

async function addSessions(kysely: Kysely<Schema>): Promise<Call[]> {
  const { password } = await kysely
    .selectFrom('users')
    .select('password')
    .where('name', '=', 'user1')
    .executeTakeFirstOrThrow()
  const at = Math.floor(Date.now() / 1000)
  const payload = JSON.stringify({
    created_at: at,
    password: passwordStamp(password),
  } satisfies SessionPayload)
  const ids = Array.from(
    { length: CALLERS },
    (_, n) => new SessionId(createHash('sha256').update(`session${n}`).digest('base64url')),
  )
  await sql`
    insert into sessions (id, user_id, payload, last_activity)
    select id, n * 7, ${payload}, ${at} from unnest(${ids.map(id => id.digest())}::text[]) with ordinality as s (id, n)
    on conflict (id) do update set last_activity = excluded.last_activity, payload = excluded.payload`.execute(
    kysely,
  )
  return ids.map(id => ({
    headers: { cookie: `animethemes_session=${id.reveal()}`, referer: `${APP_URL}/` },
  }))
}

async function tokenCalls(kysely: Kysely<Schema>): Promise<Call[]> {
  const rows = await kysely
    .selectFrom('personal_access_tokens')
    .select('id')
    .where('name', '=', 'bench')
    .orderBy('id')
    .execute()
  return rows.map(({ id }, index) => ({ headers: { authorization: `Bearer ${id}|secret${index + 1}` } }))
}

async function limitedCalls(kysely: Kysely<Schema>): Promise<Call[]> {
  const rows = await kysely
    .selectFrom('personal_access_tokens')
    .select(['id', 'name'])
    .where('name', 'like', 'limited%')
    .orderBy('id')
    .execute()
  return rows.map(({ id, name }) => ({ headers: { authorization: `Bearer ${id}|${name}` } }))
}

/** Logins as a browser sends them from a page of the server. */
const loginCalls = (): Call[] =>
  Array.from({ length: LOGINS }, (_, n) => ({
    method: 'POST',
    headers: {
      accept: 'application/json',
      'content-type': 'application/json',
      origin: APP_URL,
      referer: `${APP_URL}/login`,
      'sec-fetch-site': 'same-origin',
    },
    body: JSON.stringify({ email: `login${n + 1}@example.org`, password: 'password' }),
  }))
