import type { ConnectionClass } from '#src/runtime/connection-shares.ts'

/** How long things may take, in milliseconds. */
export interface DatabaseLimits {
  /** To open a connection. */
  connectMs: number
  /** A statement of each lane. The server enforces it in transactions and for lists, this process in any case. */
  statementMs: Readonly<Record<ConnectionClass, number>>
  /** A statement in a transaction that waits for a lock. */
  lockMs: number
  /** A transaction between two statements. */
  idleMs: number
  /** A statement that was cancelled, until its connection is given up. */
  cancelMs: number
  /** A connection that listens, until it has answered. */
  listenerMs: number
  /** To wait for a connection, where that is not the default. */
  waitMs: Partial<Record<ConnectionClass, number>>
}

/** The limits unless others are given. */
export const DATABASE_LIMITS: DatabaseLimits = {
  connectMs: 3_000,
  statementMs: { identity: 3_000, login: 5_000, write: 10_000, list: 5_000 },
  lockMs: 5_000,
  idleMs: 15_000,
  cancelMs: 1_000,
  listenerMs: 2_000,
  waitMs: {},
}
