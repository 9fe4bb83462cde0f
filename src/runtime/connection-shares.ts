/**
 * What a connection is for, the most urgent first: to find out who is calling, and whether the database answers; to
 * log in; to write, and whatever else is short; to answer with a list.
 */
export const CONNECTION_CLASSES = ['identity', 'login', 'write', 'list'] as const
export type ConnectionClass = (typeof CONNECTION_CLASSES)[number]

/** How many connections to the database a process has at most, unless configured otherwise. */
export const DEFAULT_CONNECTIONS = 10

/** The fewest connections with which every lane has one, and transactions do not block other writes. */
export const LEAST_CONNECTIONS = 5

/** How many of all connections each lane has. */
export function shares(connections: number): Readonly<Record<ConnectionClass, number>> {
  const part = (share: number) => Math.max(1, Math.floor(connections * share))
  const [identity, login, list] = [part(0.2), part(0.2), part(0.3)]
  return { identity, login, write: connections - identity - login - list, list }
}
