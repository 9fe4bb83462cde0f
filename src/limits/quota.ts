import type { Identity } from '#src/auth/identity.ts'
import { bypassesFeatureFlags } from '#src/auth/permission.ts'
import { forbidden, type HttpError } from '#src/responses/errors.ts'

/** A quota: how many rows of a kind there may be. */
export interface Quota<Row = unknown> {
  readonly max: number
  /**
   * Counts the existing rows.
   *
   * @param row the row of the path, for a quota per row; undefined on routes that load none
   */
  count(identity: Identity, row: Row): Promise<number>
  /** The message when the quota is exhausted. */
  message(most: number): string
}

/** Returns the maximum that a write checks again under lock; null for no limit. */
export const maxRowsFor = <Row>(quota: Quota<Row>, identity: Identity): number | null =>
  bypassesFeatureFlags(identity) ? null : quota.max

/** Returns the 403 of an exhausted quota. */
export const quotaExceeded = <Row>({ message, max }: Quota<Row>): HttpError => forbidden(message(max))
