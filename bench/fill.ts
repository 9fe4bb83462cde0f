import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import { hashPassword } from '../src/auth/password.ts'
import { passwordStamp, SessionId, type SessionPayload } from '../src/auth/session.ts'
import { databaseOver } from '../src/database/connect.ts'
import { migrate } from '../src/database/migrate.ts'
import { seedPermissions } from '../src/database/permissions.ts'
import { postgresSource } from '../src/database/postgres.ts'

const USERS = 10_000
const TOKENS = 100_000

/** Callers whose requests are measured: each is another user. */
const CALLERS = 1_024

/** Fills a database with users and tokens, and returns the headers of callers by token and by session, as JSON. */
export async function fill(url: string): Promise<{ tokens: string[]; sessions: string[] }> {
  const database = databaseOver({ ...postgresSource(url, () => {}), open: async () => {} })
  const { kysely } = database
  await migrate(kysely)
  await seedPermissions(kysely, Date.now())
  const password = await hashPassword('password', 4)
  const isFilled = (await kysely.selectFrom('users').select('id').limit(1).execute()).length > 0
  if (!isFilled) {
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
      insert into model_has_roles (role_id, model_type, model_id)
      select r.id, 'App\\Models\\Auth\\User', u.id from users u, roles r where r.name = 'Verified'`.execute(
      kysely,
    )
    await sql`
      insert into model_has_permissions (permission_id, model_type, model_id)
      select p.id, 'App\\Models\\Auth\\User', u.id from users u, permissions p where p.name = 'bypass api rate limiter'`.execute(
      kysely,
    )
  }
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
  await sql`update users set password = ${password}`.execute(kysely)
  await sql`vacuum analyze`.execute(kysely)
  const { rows } = await sql<{ id: number; n: number }>`
    select id, row_number() over (order by id) as n from personal_access_tokens order by id limit ${CALLERS * 90}`.execute(
    kysely,
  )
  await database.close()
  const first = rows[0]?.id ?? 1
  return {
    tokens: Array.from({ length: CALLERS }, (_, n) => {
      const index = 1 + n * 89
      return JSON.stringify({ authorization: `Bearer ${first - 1 + index}|secret${index}` })
    }),
    sessions: ids.map(id =>
      JSON.stringify({ cookie: `animethemes_session=${id.reveal()}`, referer: 'http://127.0.0.1/' }),
    ),
  }
}
