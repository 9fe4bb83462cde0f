import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { HEARTBEAT_LIMIT_MS, type IdentityCache } from '#src/auth/identity-cache.ts'
import type { Millis, MonotonicMillis } from '#src/runtime/units.ts'
import type { Database } from './connect.ts'
import type { NotificationListener } from './dialect.ts'

/** The channel on which database triggers publish the ids of users whose identities changed. */
const CHANNEL = 'identity_changes'

const HEARTBEAT_MS: Millis = HEARTBEAT_LIMIT_MS / 4
const RETRY_MS: Millis = 2_000
const ECHO_LIMIT_MS: Millis = 2_000

export interface IdentityChanges {
  /** Returns once every change that was committed before the call has been received. */
  settle(): Promise<void>
  close(): Promise<void>
}

export interface ChangeEvents {
  /** Changes are received from now on. */
  connected(): void
  /**
   * The connection was lost or could not be opened. It is retried at once after a loss, otherwise every two seconds.
   */
  interrupted(error: Error): void
}

/** A working connection was lost. */
class Interruption extends Error {
  constructor(cause: Error) {
    super(`The connection was lost: ${cause.message}`, { cause })
    this.name = 'Interruption'
  }
}

/** This process's own notification does not arrive: a pooler between swallows notifications. */
class NoEcho extends Error {
  constructor() {
    super(
      'The database does not pass on notifications. If DATABASE_URL names a pooler, let DATABASE_LISTEN_URL name the database itself.',
    )
    this.name = 'NoEcho'
  }
}

/**
 * Subscribes an identity cache to changes in the database: invalidates the identities that changed, and records up to
 * when none was missed. Reconnects whenever the connection is lost.
 *
 * @param monotonic the clock of the cache
 */
export function followIdentityChanges(
  database: Pick<Database, 'listen' | 'prepare'>,
  cache: Pick<IdentityCache, 'forget' | 'reportHeartbeat' | 'reportLoss'>,
  monotonic: () => MonotonicMillis,
  events: ChangeEvents,
): IdentityChanges {
  const notify = database.prepare('identity_changes_echo', `select pg_notify('${CHANNEL}', $1)`)
  const stopped = new AbortController()
  let listener: NotificationListener | null = null

  /** Runs one connection until it is lost or closed. */
  const runConnection = async () => {
    const echo = `echo ${randomUUID()}`
    let receiveEcho = () => {}
    const echoReceived = new Promise<null>(resolve => {
      receiveEcho = () => resolve(null)
    })
    let interrupt = (_error: Error | null) => {}
    const interruption = new Promise<Error | null>(resolve => {
      interrupt = resolve
    })
    const opened = await database.listen(CHANNEL, {
      message(payload) {
        if (payload === echo) receiveEcho()
        else if (payload === '*') cache.forget(null)
        else if (!payload.startsWith('echo ')) cache.forget(payload.split(',').map(Number))
      },
      lost(error) {
        listener = null
        cache.reportLoss()
        interrupt(error)
      },
    })
    const stop = () => interrupt(null)
    stopped.signal.addEventListener('abort', stop)
    let timer: NodeJS.Timeout | undefined
    try {
      // A pooler would accept LISTEN, and give the connection to other clients as soon as it is idle.
      await notify([echo])
      const timeout = delay(ECHO_LIMIT_MS, new NoEcho(), { ref: false })
      const fault = await Promise.race([echoReceived, interruption, timeout])
      if (fault !== null) throw fault
      if (stopped.signal.aborted) return
      listener = opened
      await heartbeat(opened)
      events.connected()
      timer = setInterval(() => heartbeat(opened).catch(() => {}), HEARTBEAT_MS).unref()
      const error = await interruption
      if (error !== null) throw new Interruption(error)
    } finally {
      clearInterval(timer)
      stopped.signal.removeEventListener('abort', stop)
      listener = null
      cache.reportLoss()
      await opened.close().catch(() => {})
    }
  }

  const heartbeat = async (opened: NotificationListener) => {
    const at = monotonic()
    await opened.roundTrip()
    if (listener === opened) cache.reportHeartbeat(at)
  }

  const run = async () => {
    while (!stopped.signal.aborted) {
      const error = await runConnection().catch(error => error as Error)
      if (!error || stopped.signal.aborted) return
      events.interrupted(error)
      // A connection that worked is retried at once.
      if (!(error instanceof Interruption))
        await delay(RETRY_MS, undefined, { signal: stopped.signal, ref: false }).catch(() => {})
    }
  }
  const running = run()

  return {
    async settle() {
      // Without a listener nothing is cached, and a lost connection clears the cache.
      await listener?.roundTrip().catch(() => {})
    },
    async close() {
      const isConnected = listener !== null
      stopped.abort()
      // A connection attempt to an unresponsive database is not awaited.
      if (isConnected) await running
    },
  }
}
