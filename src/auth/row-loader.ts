import type { Identity } from './identity.ts'

/** Finds the row of a route's path and decides who may use it. Created by {@link createRowLoader}. */
export interface RowLoader {
  /**
   * Whether callers must not learn which rows exist (HIDE_PRIVATE): then all conditions that do not depend on the row
   * are checked before it is looked up.
   */
  readonly hidesRows?: boolean
  /**
   * Whether {@link find} also writes, in one statement on its owner's row. It then runs after validation, within the
   * user's limit of concurrent writes, right before the handler.
   */
  readonly isWrite?: boolean
  /**
   * Finds the row; null if there is none, or none that the caller may know of.
   *
   * @param params the path's parameters
   * @param isPermitted whether the caller has the route's permission, for a loader that writes
   */
  find(params: never, identity: Identity | null, isPermitted: boolean): Promise<unknown>
  /** Whether a caller with the route's permission may use the row: the policy of owner and visibility. */
  allows(row: never, identity: Identity | null): boolean
}

/** Carries the type of the rows; no value has it. */
declare const ROW: unique symbol

/**
 * A {@link RowLoader} with the type of its rows, as a phantom property: the type of `find` cannot be inferred from
 * Fastify's intersection of the declared and the given route config.
 */
export interface Loader<Row> extends RowLoader {
  readonly [ROW]: Row
}

/** Creates a loader. */
export const createRowLoader = <Params, Row>(
  parts: Pick<RowLoader, 'hidesRows' | 'isWrite'> & {
    find(params: Params, identity: Identity | null, isPermitted: boolean): Promise<Row | null>
    allows(row: Row, identity: Identity | null): boolean
  },
): Loader<Row> => parts as RowLoader as Loader<Row>
