import type pg from 'pg'
import { startDeadline } from '#src/runtime/deadline.ts'
import type { Millis } from '#src/runtime/units.ts'

/** Returns how many bytes have arrived on a connection. */
export const bytesRead = ({ connection }: pg.Client) =>
  (connection.stream as { bytesRead?: number }).bytesRead ?? 0

/** Connects within a deadline. */
export async function connectWithin(client: pg.Client, ms: Millis): Promise<void> {
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
