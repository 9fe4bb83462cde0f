import { startDeadline } from '#src/runtime/deadline.ts'
import type { NotificationEvents, NotificationListener } from './dialect.ts'
import { bytesRead, closeClient, connector } from './postgres-client.ts'
import type { DatabaseLimits } from './postgres-limits.ts'
import { DatabaseUnavailable } from './unavailable.ts'

/**
 * Opens a connection that listens on a channel.
 *
 * @throws {DatabaseUnavailable} when it takes too long or fails
 */
export async function listen(
  url: string,
  channel: string,
  { message, lost }: NotificationEvents,
  { connectMs, listenerMs }: DatabaseLimits,
): Promise<NotificationListener> {
  const client = await connector(
    url,
    { application_name: 'animethemes-auth listener' },
    {
      prepare: opening => opening.on('error', () => {}),
      discard: failed => failed.connection.stream.destroy(),
    },
  )(connectMs).catch(error => {
    throw new DatabaseUnavailable(error)
  })
  const { connection } = client
  let isClosed = false
  const close = async () => {
    if (isClosed) return
    isClosed = true
    await closeClient(client)
  }
  const fail = (error: Error) => {
    if (isClosed) return
    isClosed = true
    connection.stream.destroy()
    lost(error)
  }
  client.on('notification', ({ payload = '' }) => message(payload))
  client.on('error', fail)
  client.on('end', () => fail(new Error('The connection was ended.')))
  /** Runs a statement, and closes the connection if that takes too long. */
  const run = async (text: string) => {
    const stop = startDeadline(
      listenerMs,
      () => connection.stream.destroy(new Error(`no response within ${listenerMs} ms`)),
      () => bytesRead(client),
    )
    try {
      await client.query(text)
    } finally {
      stop()
    }
  }
  try {
    await run(`listen ${client.escapeIdentifier(channel)}`)
  } catch (error) {
    isClosed = true
    connection.stream.destroy()
    throw new DatabaseUnavailable(error)
  }
  return {
    async roundTrip() {
      try {
        await run('select 1')
      } catch (error) {
        fail(error as Error)
        throw new DatabaseUnavailable(error)
      }
    },
    close,
  }
}
