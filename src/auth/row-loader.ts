import type { Identity } from './identity.ts'

/** Finds the row that a route's path names, and judges who may use it. Made by {@link rowLoader}. */
export interface RowLoader {
  /**
   * Whether callers are kept from learning which rows exist (HIDE_PRIVATE): all conditions that do not depend on the row
   * are judged before it is looked for.
   */
  readonly hidesRows?: boolean
  /**
   * Whether {@link find} is the write as well, in one statement that touches the row of its owner alone. It then runs
   * after validation and in its user's share of writes, right before the handler.
   */
  readonly isWrite?: boolean
  /**
   * Finds the row; null when there is none, or none that the caller may learn of.
   *
   * @param params the path's parameters
   * @param isPermitted whether the caller holds the route's permission, for a loader that writes
   */
  find(params: never, identity: Identity | null, isPermitted: boolean): Promise<unknown>
  /** Whether a caller who holds the route's permission may use the row: the policy of its owner and visibility. */
  allows(row: never, identity: Identity | null): boolean
}

/** Carries a row's type only; no value has it. */
declare const ROW: unique symbol

/**
 * A {@link RowLoader} with the type of its rows. The type stands on a property of its own, since that of `find` could not be
 * inferred from what Fastify makes of a route's config: the intersection of the declared and the given one.
 */
export interface Loader<Row> extends RowLoader {
  readonly [ROW]: Row
}

/** Makes a loader of its parts, which agree on the types of parameters and row. */
export const rowLoader = <Params, Row>(
  parts: Pick<RowLoader, 'hidesRows' | 'isWrite'> & {
    find(params: Params, identity: Identity | null, isPermitted: boolean): Promise<Row | null>
    allows(row: Row, identity: Identity | null): boolean
  },
): Loader<Row> => parts as RowLoader as Loader<Row>
