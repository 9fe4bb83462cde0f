import pg from 'pg'
import { parseDatabaseUrl } from '#src/config/database-url.ts'
import { startDeadline } from '#src/runtime/deadline.ts'
import type { Millis } from '#src/runtime/units.ts'
import { DIRECT_PARAMETERS, POOLER_PARAMETERS, refusesParameter } from './session-settings.ts'

/** Returns how many bytes have arrived on a connection. */
export const bytesRead = ({ connection }: pg.Client) =>
  (connection.stream as { bytesRead?: number }).bytesRead ?? 0

/** A method of node-postgres that its types do not declare. */
interface Starting {
  startup(parameters: Record<string, string>): void
}

/** What the owner of connections does with them. */
interface ConnectionOwner {
  /** Called with each connection before it opens. */
  prepare(client: pg.Client): void
  /** Called with one that did not open. */
  discard(client: pg.Client): void
}

/**
 * Makes the function that opens connections to the server of a URL within a time. Their sessions have the settings that
 * this server relies on. A pooler that refuses some of them gets only the others from then on.
 *
 * @throws {ExpectedValue} for an invalid URL
 */
export function connector(
  url: string,
  config: Pick<pg.ClientConfig, 'types' | 'application_name'>,
  { prepare, discard }: ConnectionOwner,
): (ms: Millis) => Promise<pg.Client> {
  const address = parseDatabaseUrl(url)
  let parameters = DIRECT_PARAMETERS
  return async function open(ms) {
    const stated = parameters
    const client = new pg.Client({ ...address, ...config, pipeline: true })
    const starting = client.connection as unknown as Starting
    const startup = starting.startup.bind(starting)
    starting.startup = given => startup({ ...given, ...stated })
    prepare(client)
    try {
      await connectWithin(client, ms)
      return client
    } catch (error) {
      discard(client)
      if (!refusesParameter(error) || stated === POOLER_PARAMETERS) throw error
      parameters = POOLER_PARAMETERS
      return open(ms)
    }
  }
}

/** Connects within a deadline. */
async function connectWithin(client: pg.Client, ms: Millis): Promise<void> {
  const { connection } = client
  const stop = startDeadline(
    ms,
    () => connection.stream.destroy(new Error(`no connection within ${ms} ms`)),
    () => bytesRead(client),
  )
  try {
    await client.connect()
  } finally {
    stop()
  }
}

const END_MS: Millis = 1_000

/** Closes a connection gracefully, or by force after a second. */
export async function closeClient(client: pg.Client): Promise<void> {
  const stop = startDeadline(END_MS, () => client.connection.stream.destroy())
  await client.end().catch(() => {})
  stop()
}
