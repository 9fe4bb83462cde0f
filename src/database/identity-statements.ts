import { expressionsOf, HOLDINGS, SESSION, SESSION_OWNER, TOKEN, USER } from './identity-columns.ts'

/** The only row that a lookup statement returns, for all of its keys. */
export type LookupResult<Cells> = Readonly<Record<keyof typeof HOLDINGS, GrantsByUser | null>> & {
  readonly version: number
  readonly found: Cells[] | null
}

/** Comma-separated ids by user id; after a semicolon the earliest expiry among them, if there is one. */
type GrantsByUser = Record<string, string>

/** The condition that a restraint has not expired at the third parameter. */
const isInForce = (row = '') => `(${row}expires_at is null or ${row}expires_at > $3)`

/** What the found users hold of one table. */
const grants = ({ table, id, isRestraint }: (typeof HOLDINGS)[keyof typeof HOLDINGS]) => `(
    select json_object_agg(model_id, ids) from (
      select model_id, string_agg(${id}::text, ',')${isRestraint ? ` || coalesce(';' || min(expires_at)::text, '')` : ''} as ids from ${table}
      where model_id = any((select ids from holders)::bigint[]) and model_type = any($2) ${isRestraint ? `and ${isInForce()}` : ''}
      group by model_id
    ) as given
  )`

/**
 * Looks several keys up at once, with their users and those users' grants. Cells come as JSON and grants as ids,
 * aggregated for the whole set: row by row, the database and the driver would take several times as long.
 *
 * Parameters: the keys, the `model_type` values of users, and the time at which prohibitions may have expired.
 */
const lookUp = (cells: readonly string[], from: string) => `
  with found as materialized (
    select json_build_array(${[...cells, ...expressionsOf(USER)].join(', ')}) as cells, u.id as user_id from ${from}
  ),
  holders as materialized (select array(select user_id from found) as ids)
  select
    (select version from permission_versions) as version,
    (select json_agg(cells) from found) as found,
    ${Object.entries(HOLDINGS)
      .map(([name, holding]) => `${grants(holding)} as ${name}`)
      .join(',\n    ')}`

const selectTokens = (key: string, condition: string) =>
  lookUp(
    [key, ...expressionsOf(TOKEN)],
    `personal_access_tokens t
    left join users u on u.id = t.tokenable_id and t.tokenable_type = any($2) and u.deleted_at is null
    where ${condition}`,
  )

/** Tokens by id (as text). */
export const SELECT_TOKENS_BY_ID = selectTokens('t.id::text', 't.id = any($1::bigint[])')

/** Tokens by digest. */
export const SELECT_TOKENS_BY_DIGEST = selectTokens('t.token', 't.token = any($1::text[])')

/** Sessions by digest. */
export const SELECT_SESSIONS = lookUp(
  ['s.id', ...expressionsOf(SESSION), ...expressionsOf(SESSION_OWNER)],
  `sessions s left join users u on u.id = s.user_id and u.deleted_at is null where s.id = any($1::text[])`,
)

/** Users by id (as text). */
export const SELECT_USERS = lookUp(
  ['u.id::text'],
  'users u where u.id = any($1::bigint[]) and u.deleted_at is null',
)

/** A sanction or prohibition of a user. */
export interface RestraintRow {
  user_id: number
  is_whole: boolean
  names: string[]
  reason: string | null
  expires_at: string | null
}

/**
 * The sanctions and prohibitions in force for users. Parameters: user ids, `model_type` values, the time, and the name
 * of the sanction that bans from everything.
 */
export const SELECT_RESTRAINTS = `
  select m.model_id as user_id, s.name = $4 as is_whole, array(
      select p.name from sanction_prohibition sp join prohibitions p on p.id = sp.prohibition_id
      where sp.sanction_id = s.id
    ) as names, m.reason, m.expires_at::text as expires_at
  from model_sanctions m join sanctions s on s.id = m.sanction_id
  where m.model_id = any($1::bigint[]) and m.model_type = any($2) and ${isInForce('m.')}
  union all
  select m.model_id, false, array[p.name], m.reason, m.expires_at::text
  from model_prohibitions m join prohibitions p on p.id = m.prohibition_id
  where m.model_id = any($1::bigint[]) and m.model_type = any($2) and ${isInForce('m.')}`
