import { sql } from 'kysely'
import type { Test } from 'tap'
import { addToken, addUser, send, startApp, type TestUser, USER_TYPE } from './app.ts'
import type { TestDatabase } from './databases.ts'

const PASSWORD = 'Correct horse 1'
const UNLIMITED = {
  RATE_LIMIT_AUTHENTICATED: '100000',
  RATE_LIMIT_ANONYMOUS: '100000',
  LOGIN_RATE_LIMIT: '1000',
}

/** A token, with its secret. */
export interface Held {
  id: number
  plain: string
}

/** A user with a token named `root`, and what can be done with tokens. */
export async function tokenWorld(t: Test, database: TestDatabase, environment: Record<string, string> = {}) {
  const app = await startApp(t, {
    database,
    environment: { ...UNLIMITED, LEAKED_TOKENS: 'on', ...environment },
  })
  const user = { ...(await addUser(database, { password: PASSWORD })), password: PASSWORD }
  const root: Held = { id: user.tokenId, plain: user.token }
  const ask = (by: Held, method: string, path: string, payload?: object) =>
    send(app, method, `/api/me/token${path}`, {
      headers: { authorization: `Bearer ${by.plain}` },
      ...(payload && { payload }),
    })
  const held = ({ json }: { json: { token: { id: number }; plain_text_token: string } }): Held => ({
    id: json.token.id,
    plain: json.plain_text_token,
  })
  const issue = async (by: Held, name: string) => held(await ask(by, 'POST', '', { name }))
  const rotate = async (by: Held, old: Held, grace = 0) =>
    held(await ask(by, 'POST', `/${old.id}/rotate`, { grace }))
  const named = (name: string) => addNamed(database, user, name)
  await database.kysely
    .updateTable('personal_access_tokens')
    .set({ name: 'root' })
    .where('id', '=', root.id)
    .execute()
  return { app, user, root, ask, issue, rotate, named, left: () => tokenNames(database, user) }
}

/** A token of a session's or of the command line's. */
async function addNamed(database: TestDatabase, user: TestUser, name: string): Promise<Held> {
  const { tokenId: id, token: plain } = await addToken(database, user.id)
  await database.kysely.updateTable('personal_access_tokens').set({ name }).where('id', '=', id).execute()
  return { id, plain }
}

/** The names of a user's tokens, oldest first. */
export async function tokenNames({ kysely }: TestDatabase, { id }: TestUser): Promise<string[]> {
  const rows = await kysely
    .selectFrom('personal_access_tokens')
    .select('name')
    .where('tokenable_id', '=', id)
    .orderBy('id')
    .execute()
  return rows.map(({ name }) => name)
}

/** The id in a token's `issued_by`. */
export const issuerOf = async ({ kysely }: TestDatabase, { id }: Held) =>
  (
    await kysely
      .selectFrom('personal_access_tokens')
      .select('issued_by')
      .where('id', '=', id)
      .executeTakeFirstOrThrow()
  ).issued_by

/** Adds a chain of tokens below one, and returns the id of the last. */
export async function addChain(
  { kysely }: TestDatabase,
  user: TestUser,
  top: Held,
  length: number,
  end: string | null,
) {
  const { rows } = await sql<{ first: number; last: number }>`
    with added as (
      insert into personal_access_tokens (tokenable_type, tokenable_id, name, token, expires_at, created_at)
      select ${USER_TYPE}, ${user.id}::bigint, 'link', md5(${top.id} || '-' || n), ${end}::timestamp, '2026-03-01'
      from generate_series(1, ${length}::int) as n returning id
    )
    select min(id) as first, max(id) as last from added`.execute(kysely)
  const { first, last } = rows[0] ?? { first: 0, last: 0 }
  await sql`
    update personal_access_tokens set issued_by = case id when ${first} then ${top.id}::bigint else id - 1 end
    where id between ${first} and ${last}`.execute(kysely)
  return last
}
