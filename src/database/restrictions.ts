import { type Kysely, sql } from 'kysely'
import { EVERYTHING } from '#src/auth/ban.ts'
import { millisToSeconds } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { lockUser } from './authority.ts'
import type { Holder } from './permissions.ts'
import type { Schema, TimestampText } from './schema.ts'
import { inTransaction } from './transaction.ts'

/** The kinds of bans: a prohibition of one permission, or a sanction, which is a set of them. */
export type RestrictionKind = 'prohibition' | 'sanction'

/** Returns whether a value is a {@link RestrictionKind}. */
export const isRestrictionKind = (text: unknown): text is RestrictionKind =>
  text === 'prohibition' || text === 'sanction'

/** A ban of a user. */
export interface Restriction {
  kind: RestrictionKind
  id: number
  name: string
  reason: string | null
  /** Null for a permanent ban. */
  expiresAt: TimestampText | null
  createdAt: TimestampText | null
  /** The name of the moderator who issued it; null if unknown. */
  moderator: string | null
}

const tablesOf = (kind: RestrictionKind) => ({
  named: sql.table(`${kind}s`),
  held: sql.table(`model_${kind}s`),
  key: sql.ref(`${kind}_id`),
})

const heldBy = ({ userId, types }: Holder) =>
  sql`held.model_id = ${userId}::bigint and held.model_type = any(${types}::text[])`

/** Lists the bans of a user that are in force at a time. */
export async function listRestrictions(
  db: Kysely<Schema>,
  holder: Holder,
  now: EpochMillis,
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

/** Lists all sanctions and prohibitions, sanctions first. */
export async function listRestrictionChoices(
  db: Kysely<Schema>,
): Promise<{ kind: RestrictionKind; id: number; name: string }[]> {
  const { rows } = await sql<{ kind: RestrictionKind; id: number; name: string }>`
    select 'sanction' as kind, id, name from sanctions union all
    select 'prohibition', id, name from prohibitions order by kind desc, name`.execute(db)
  return rows
}

/**
 * Returns the id of the sanction that bans from everything, after adding prohibitions that it lacks. That waits for all
 * transactions that hold the lock on permissions, so it must run before a transaction that takes it.
 */
export async function ensureFullBan(db: Kysely<Schema>, now: EpochMillis): Promise<number> {
  const at = millisToSeconds(now)
  // Even an empty insert raises the version of permissions, which invalidates caches and open forms.
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
 * Bans a user. An existing ban of the same kind and id gets the new reason, expiry and moderator.
 *
 * @param issued.expiresAt null for a permanent ban
 * @returns the name of the prohibition or sanction; null if it does not exist
 */
export async function addRestriction(
  db: Kysely<Schema>,
  holder: Holder,
  { kind, id }: { kind: RestrictionKind; id: number },
  {
    reason,
    expiresAt,
    moderatorId,
    now,
  }: { reason: string | null; expiresAt: EpochMillis | null; moderatorId: number; now: EpochMillis },
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
    // With any of the class names.
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

/** Lifts a user's ban and returns its name; null if there was none. */
export async function liftRestriction(
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
