import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Schema } from './schema.ts'

/** A token with its issuers, the tokens whose revocation ends it. */
export interface Lineage {
  id: number
  /** Their ids: first the one in `issued_by`, then those in `inherited_issuers`. */
  issuers: readonly number[]
}

/** A token's issuers, read from its two columns. */
export const ISSUERS = sql<number[]>`to_json(array_remove(array_prepend(issued_by, inherited_issuers), null))`

/** Issuers as the two columns store them. */
export const issuerColumns = ([issuedBy, ...inherited]: readonly number[]) => ({
  issued_by: issuedBy ?? null,
  inherited_issuers: inherited.length === 0 ? null : inherited,
})

/**
 * The issuers of a token's successor. A token that rotates another one knows the secret of the successor, which
 * therefore ends with it too; the issuers of the old token remain, so that no rotation detaches a token from them.
 *
 * @param rotatedBy the id of the token that rotates; null for a session and for the command line
 */
export function successorIssuers({ id, issuers }: Lineage, rotatedBy: number | null): number[] {
  return rotatedBy === null || rotatedBy === id ? [...issuers] : [...new Set([rotatedBy, ...issuers])]
}

/**
 * The recursive CTE `ending (id, owner)`: the tokens that a revocation of some tokens ends, which are these and all of
 * their descendants. `union` drops rows that are there already, so that cycles end. A link to another user's token,
 * which an id that was given out twice would make, is not followed.
 *
 * @param revoked which tokens are revoked
 * @param kept the id of a token that stays; null for none
 */
export const withEnding = (revoked: RawBuilder<boolean>, kept: number | null) => sql`
  with recursive ending (id, owner) as (
    select id, tokenable_id from personal_access_tokens
    where ${revoked} and id is distinct from ${kept}::bigint
    union
    select child.id, child.tokenable_id from ending
    join personal_access_tokens as child on child.tokenable_id = ending.owner
      and (child.issued_by = ending.id or child.inherited_issuers @> array[ending.id])
    where child.id is distinct from ${kept}::bigint
  )`

/** Makes a successor the issuer of a token's children. */
export async function passChildrenTo(db: Kysely<Schema>, oldId: number, newId: number): Promise<void> {
  const [old, successor] = [sql`${oldId}::bigint`, sql`${newId}::bigint`]
  await sql`
    update personal_access_tokens set
      issued_by = case issued_by when ${old} then ${successor} else issued_by end,
      inherited_issuers = array_replace(inherited_issuers, ${old}, ${successor})
    where issued_by = ${old} or inherited_issuers @> array[${old}]`.execute(db)
}

/** Makes the nearest remaining ancestors the issuers of the children of tokens that were pruned. */
export async function passChildrenUp(db: Kysely<Schema>, pruned: readonly Lineage[]): Promise<void> {
  const ids = pruned.map(({ id }) => id)
  const { rows: children } = await sql<Lineage>`
    select id, ${ISSUERS} as issuers from personal_access_tokens
    where issued_by = any(${ids}::bigint[]) or inherited_issuers && ${ids}::bigint[]`.execute(db)
  if (children.length === 0) return
  const byId = new Map(pruned.map(token => [token.id, token]))
  const moved = children.map(child => issuerColumns(remainingIssuers(child, byId)))
  await sql`
    update personal_access_tokens as child
    set issued_by = moved.issued_by, inherited_issuers = moved.inherited_issuers::bigint[]
    from unnest(
      ${children.map(({ id }) => id)}::bigint[], ${moved.map(({ issued_by }) => issued_by)}::bigint[],
      ${moved.map(({ inherited_issuers: ids }) => ids && `{${ids}}`)}::text[]
    ) as moved (id, issued_by, inherited_issuers)
    where child.id = moved.id`.execute(db)
}

/**
 * The issuers of a token without those that were pruned: each of these is replaced by its own issuers, breadth first, so
 * that the nearest comes first. A set visits nothing twice, so that cycles end.
 */
export function remainingIssuers(token: Lineage, pruned: ReadonlyMap<number, Lineage>): number[] {
  const visited = new Set(token.issuers)
  const remaining: number[] = []
  // The loop also visits what it adds.
  for (const id of visited) {
    const gone = pruned.get(id)
    if (gone !== undefined) for (const issuer of gone.issuers) visited.add(issuer)
    else if (id !== token.id) remaining.push(id)
  }
  return remaining
}
