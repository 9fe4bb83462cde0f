import type { ConnectionClass } from '#src/runtime/connection-shares.ts'
import type { Millis } from '#src/runtime/units.ts'

/** Timeouts of the database. */
export interface DatabaseLimits {
  /** Opening a connection. */
  connectMs: Millis
  /**
   * A statement of each connection class. Enforced by this process, and also by the server in transactions and for
   * lists.
   */
  statementMs: Readonly<Record<ConnectionClass, number>>
  /** A lock wait in a transaction. */
  lockMs: Millis
  /** An idle transaction. */
  idleMs: Millis
  /** A cancelled statement, until its connection is closed. */
  cancelMs: Millis
  /** A response on a listening connection. */
  listenerMs: Millis
  /** Waiting for a connection: overrides of the defaults. */
  waitMs: Partial<Record<ConnectionClass, number>>
}

/** The default timeouts. */
export const DATABASE_LIMITS: DatabaseLimits = {
  connectMs: 3_000,
  statementMs: { identity: 3_000, login: 5_000, write: 10_000, list: 5_000 },
  lockMs: 5_000,
  idleMs: 15_000,
  cancelMs: 1_000,
  listenerMs: 2_000,
  waitMs: {},
}
