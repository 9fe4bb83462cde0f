/**
 * Connection classes, the most urgent first: identity lookups and health checks; logins; writes and other short
 * statements; lists.
 */
export const CONNECTION_CLASSES = ['identity', 'login', 'write', 'list'] as const
export type ConnectionClass = (typeof CONNECTION_CLASSES)[number]

/** The default maximum of database connections of a process. */
export const DEFAULT_CONNECTIONS = 10

/** The fewest connections with which every class has one, and a transaction does not block other writes. */
export const MIN_CONNECTIONS = 5

/** Returns how many of all connections each class may hold. */
export function connectionShares(connections: number): Readonly<Record<ConnectionClass, number>> {
  const part = (share: number) => Math.max(1, Math.floor(connections * share))
  const [identity, login, list] = [part(0.2), part(0.2), part(0.3)]
  return { identity, login, write: connections - identity - login - list, list }
}
