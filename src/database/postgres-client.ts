import type pg from 'pg'
import { deadline } from '#src/runtime/deadline.ts'

/** How many bytes have arrived on a connection. */
export const bytesRead = ({ connection }: pg.Client) =>
  (connection.stream as { bytesRead?: number }).bytesRead ?? 0

/** Connects, unless that takes too long. */
export async function connectWithin(client: pg.Client, ms: number): Promise<void> {
  const { connection } = client
  const stop = deadline(
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

const END_MS = 1_000

/** Says goodbye, and hangs up if that is not heard. */
export async function end(client: pg.Client): Promise<void> {
  const stop = deadline(END_MS, () => client.connection.stream.destroy())
  await client.end().catch(() => {})
  stop()
}
