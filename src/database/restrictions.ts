import { type Kysely, sql } from 'kysely'
import { EVERYTHING } from '#src/auth/ban.ts'
import { millisToSeconds } from '#src/auth/time.ts'
import { lockUser } from './authority.ts'
import type { Holder } from './permissions.ts'
import type { Schema, TimestampText } from './schema.ts'
import { inTransaction } from './transaction.ts'

/** What somebody can be banned by: one permission's name, or a set of them. */
export type RestrictionKind = 'prohibition' | 'sanction'

/** Whether a text names one. */
export const isRestrictionKind = (text: unknown): text is RestrictionKind =>
  text === 'prohibition' || text === 'sanction'

/** A ban of one user's. */
export interface Restriction {
  kind: RestrictionKind
  id: number
  name: string
  reason: string | null
  /** Null for good. */
  expiresAt: TimestampText | null
  createdAt: TimestampText | null
  /** The name of whoever issued it; null if that is not known. */
  moderator: string | null
}

const tablesOf = (kind: RestrictionKind) => ({
  named: sql.table(`${kind}s`),
  held: sql.table(`model_${kind}s`),
  key: sql.ref(`${kind}_id`),
})

const heldBy = ({ userId, types }: Holder) =>
  sql`held.model_id = ${userId}::bigint and held.model_type = any(${types}::text[])`

/** What a user is banned by at a moment, in milliseconds since the epoch. */
export async function listRestrictions(
  db: Kysely<Schema>,
  holder: Holder,
  now: number,
): Promise<Restriction[]> {
  const of = (kind: RestrictionKind) => {
    const { named, held, key } = tablesOf(kind)
    return sql`
      select ${kind}::text as kind, named.id, named.name, held.reason, held.expires_at::text as "expiresAt",
        held.created_at::text as "createdAt", moderators.name as moderator
      from ${held} as held join ${named} as named on named.id = held.${key}
      left join users as moderators
        on moderators.id = held.moderator_id and held.moderator_type = any(${holder.types}::text[])
      where ${heldBy(holder)}
        and (held.expires_at is null or held.expires_at > ${millisToSeconds(now)}::timestamp)`
  }
  const { rows } = await sql<Restriction>`
    ${of('sanction')} union all ${of('prohibition')} order by kind desc, name`.execute(db)
  return rows
}

/** What there is to ban somebody by: sanctions first. */
export async function listRestrictionChoices(
  db: Kysely<Schema>,
): Promise<{ kind: RestrictionKind; id: number; name: string }[]> {
  const { rows } = await sql<{ kind: RestrictionKind; id: number; name: string }>`
    select 'sanction' as kind, id, name from sanctions union all
    select 'prohibition', id, name from prohibitions order by kind desc, name`.execute(db)
  return rows
}

/**
 * The id of the sanction that bans from everything there is by now. It is brought up to date, for which it waits until
 * nobody relies any more on what sanctions mean: that has to be before a transaction that does.
 *
 * @param now milliseconds since the epoch
 */
export async function ensureBan(db: Kysely<Schema>, now: number): Promise<number> {
  const at = millisToSeconds(now)
  // Even an insert of nothing raises the version of what permissions mean, which instances and open forms follow.
  const { rows } = await sql<{ id: number }>`
    select id from sanctions s where name = ${EVERYTHING} and not exists (
      select from prohibitions p where not exists (
        select from sanction_prohibition sp where sp.sanction_id = s.id and sp.prohibition_id = p.id
      )
    )`.execute(db)
  if (rows[0] !== undefined) return rows[0].id
  return db.transaction().execute(async transaction => {
    await transaction
      .insertInto('sanctions')
      .values({ name: EVERYTHING, created_at: at, updated_at: at })
      .onConflict(conflict => conflict.column('name').doNothing())
      .execute()
    const { id } = await transaction
      .selectFrom('sanctions')
      .select('id')
      .where('name', '=', EVERYTHING)
      .executeTakeFirstOrThrow()
    await sql`
      insert into sanction_prohibition (sanction_id, prohibition_id, created_at, updated_at)
      select ${id}::bigint, id, ${at}::timestamp, ${at}::timestamp from prohibitions
      on conflict do nothing`.execute(transaction)
    return id
  })
}

/**
 * Bans a user. Whoever is banned by the same already has the new reason, end and moderator from then on.
 *
 * @param issued.expiresAt null for good; milliseconds since the epoch, as is `now`
 * @returns what it is called; null if there is nothing of that kind and id
 */
export async function restrict(
  db: Kysely<Schema>,
  holder: Holder,
  { kind, id }: { kind: RestrictionKind; id: number },
  {
    reason,
    expiresAt,
    moderatorId,
    now,
  }: { reason: string | null; expiresAt: number | null; moderatorId: number; now: number },
): Promise<string | null> {
  const { named, held, key } = tablesOf(kind)
  const at = millisToSeconds(now)
  const end = expiresAt === null ? null : millisToSeconds(expiresAt)
  return inTransaction(db, async transaction => {
    await lockUser(transaction, holder.userId)
    const { rows } = await sql<{ name: string }>`select name from ${named} where id = ${id}::bigint`.execute(
      transaction,
    )
    const [row] = rows
    if (row === undefined) return null
    // Under whatever class name it stands.
    await sql`delete from ${held} as held where held.${key} = ${id}::bigint and ${heldBy(holder)}`.execute(
      transaction,
    )
    await sql`
      insert into ${held}
        (${key}, model_type, model_id, moderator_type, moderator_id, expires_at, reason, created_at, updated_at)
      values (${id}, ${holder.types[0]}, ${holder.userId}, ${holder.types[0]}, ${moderatorId}, ${end}, ${reason},
        ${at}, ${at})`.execute(transaction)
    return row.name
  })
}

/** Lifts a user's ban, and returns what it was called; null if there was none. */
export async function lift(
  db: Kysely<Schema>,
  holder: Holder,
  { kind, id }: { kind: RestrictionKind; id: number },
): Promise<string | null> {
  const { named, held, key } = tablesOf(kind)
  return inTransaction(db, async transaction => {
    await lockUser(transaction, holder.userId)
    const { rows } = await sql<{ name: string }>`
      with lifted as (
        delete from ${held} as held where held.${key} = ${id}::bigint and ${heldBy(holder)} returning held.${key}
      )
      select name from ${named} where id in (select ${key} from lifted)`.execute(transaction)
    return rows[0]?.name ?? null
  })
}
