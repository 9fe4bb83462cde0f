import type { Identity } from '#src/auth/identity.ts'
import { bypassesFeatureFlags } from '#src/auth/permission.ts'
import { forbidden, type HttpError } from '#src/responses/errors.ts'

/** How many rows of a kind there may be. */
export interface Quota<Row = unknown> {
  readonly most: number
  /**
   * How many there are.
   *
   * @param row what the path names, for a quota of its own; undefined on routes that load nothing
   */
  count(identity: Identity, row: Row): Promise<number>
  /** What is said when there are as many. */
  message(most: number): string
}

/** How many rows a caller may add to, as the write under lock asks once more; null for any number. */
export const allowanceOf = <Row>(quota: Quota<Row>, identity: Identity): number | null =>
  bypassesFeatureFlags(identity) ? null : quota.most

/** 403 for a quota that is used up. */
export const quotaExceeded = <Row>({ message, most }: Quota<Row>): HttpError => forbidden(message(most))
