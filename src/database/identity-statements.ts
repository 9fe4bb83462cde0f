import { expressionsOf, HOLDINGS, SESSION, SESSION_OWNER, TOKEN, USER } from './identity-columns.ts'

/** What all look-ups of one statement led to: the only row that it returns. */
export type Found<Cells> = Readonly<Record<keyof typeof HOLDINGS, GrantsByUser | null>> & {
  readonly version: number
  readonly found: Cells[] | null
}

/** Ids with commas between them, by the user's id; behind a semicolon when the first of them ends, if one does. */
type GrantsByUser = Record<string, string>

/** Whether a restraint has not ended at the moment that is the third parameter. */
const lasts = (row = '') => `(${row}expires_at is null or ${row}expires_at > $3)`

/** What the users among the found have been given, from one table. */
const grants = ({ table, id, isRestraint }: (typeof HOLDINGS)[keyof typeof HOLDINGS]) => `(
    select json_object_agg(model_id, ids) from (
      select model_id, string_agg(${id}::text, ',')${isRestraint ? ` || coalesce(';' || min(expires_at)::text, '')` : ''} as ids from ${table}
      where model_id = any((select ids from holders)::bigint[]) and model_type = any($2) ${isRestraint ? `and ${lasts()}` : ''}
      group by model_id
    ) as given
  )`

/**
 * Looks several keys up at once, with their users and what those have been given. Cells come as JSON and grants by
 * ids, for the whole set: for each row and column by itself, the database and the driver would take several times
 * as long. Of the parameters the first is the keys, the second the class names that mean a user, and the third the
 * moment at which prohibitions may have ended.
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

/** Tokens by their ids, as texts. */
export const SELECT_TOKENS_BY_ID = selectTokens('t.id::text', 't.id = any($1::bigint[])')

/** Tokens by their digests. */
export const SELECT_TOKENS_BY_DIGEST = selectTokens('t.token', 't.token = any($1::text[])')

/** Sessions by their digests. */
export const SELECT_SESSIONS = lookUp(
  ['s.id', ...expressionsOf(SESSION), ...expressionsOf(SESSION_OWNER)],
  `sessions s left join users u on u.id = s.user_id and u.deleted_at is null where s.id = any($1::text[])`,
)

/** Users by their ids, as texts. */
export const SELECT_USERS = lookUp(
  ['u.id::text'],
  'users u where u.id = any($1::bigint[]) and u.deleted_at is null',
)

/** Something that a user is banned by. */
export interface RestraintRow {
  user_id: number
  is_whole: boolean
  names: string[]
  reason: string | null
  expires_at: string | null
}

/** By what users are banned at the moment: parameters as for the look-ups, and the name of the ban from everything. */
export const SELECT_RESTRAINTS = `
  select m.model_id as user_id, s.name = $4 as is_whole, array(
      select p.name from sanction_prohibition sp join prohibitions p on p.id = sp.prohibition_id
      where sp.sanction_id = s.id
    ) as names, m.reason, m.expires_at::text as expires_at
  from model_sanctions m join sanctions s on s.id = m.sanction_id
  where m.model_id = any($1::bigint[]) and m.model_type = any($2) and ${lasts('m.')}
  union all
  select m.model_id, false, array[p.name], m.reason, m.expires_at::text
  from model_prohibitions m join prohibitions p on p.id = m.prohibition_id
  where m.model_id = any($1::bigint[]) and m.model_type = any($2) and ${lasts('m.')}`
