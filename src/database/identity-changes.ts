import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { HEARTBEAT_LIMIT_MS, type IdentityCache } from '#src/auth/identity-cache.ts'
import type { Database } from './connect.ts'
import type { NotificationListener } from './dialect.ts'

/** Where the triggers of the database tell whose identity changed. */
const CHANNEL = 'identity_changes'

const HEARTBEAT_MS = HEARTBEAT_LIMIT_MS / 4
const RETRY_MS = 2_000
const ECHO_LIMIT_MS = 2_000

export interface IdentityChanges {
  /** Returns when every change that was committed before the call has been told. */
  settle(): Promise<void>
  close(): Promise<void>
}

export interface ChangeEvents {
  /** Changes are told from now on. */
  following(): void
  /** Changes are not told any more, or not yet. Another connection is tried at once, and then every other second. */
  interrupted(error: Error): void
}

/** Changes were told until now. */
class Interruption extends Error {
  constructor(cause: Error) {
    super(`The connection was lost: ${cause.message}`, { cause })
    this.name = 'Interruption'
  }
}

/** Messages of ours do not arrive: something between us and the database keeps them. */
class NoEcho extends Error {
  constructor() {
    super(
      'The database does not pass on notifications. If DATABASE_URL names a pooler, let DATABASE_LISTEN_URL name the database itself.',
    )
    this.name = 'NoEcho'
  }
}

/**
 * Tells a cache whose identity has changed in the database, whoever changed it, and when that was last certain.
 * It connects again whenever the connection is lost.
 *
 * @param monotonic milliseconds since a moment that does not change, by the clock of the cache
 */
export function followIdentityChanges(
  database: Pick<Database, 'listen' | 'prepare'>,
  cache: Pick<IdentityCache, 'forget' | 'heard' | 'lost'>,
  monotonic: () => number,
  events: ChangeEvents,
): IdentityChanges {
  const notify = database.prepare('identity_changes_echo', `select pg_notify('${CHANNEL}', $1)`)
  const stopped = new AbortController()
  let listener: NotificationListener | null = null

  /** Follows one connection until it is lost, or until it is enough. */
  const follow = async () => {
    const echo = `echo ${randomUUID()}`
    let heardEcho = () => {}
    const echoed = new Promise<null>(resolve => {
      heardEcho = () => resolve(null)
    })
    let interrupt = (_error: Error | null) => {}
    const interruption = new Promise<Error | null>(resolve => {
      interrupt = resolve
    })
    const opened = await database.listen(CHANNEL, {
      message(payload) {
        if (payload === echo) heardEcho()
        else if (payload === '*') cache.forget(null)
        else if (!payload.startsWith('echo ')) cache.forget(payload.split(',').map(Number))
      },
      lost(error) {
        listener = null
        cache.lost()
        interrupt(error)
      },
    })
    const stop = () => interrupt(null)
    stopped.signal.addEventListener('abort', stop)
    let timer: NodeJS.Timeout | undefined
    try {
      // A pooler would let us listen, and give the connection to others as soon as nothing is asked.
      await notify([echo])
      const tooLate = delay(ECHO_LIMIT_MS, new NoEcho(), { ref: false })
      const fault = await Promise.race([echoed, interruption, tooLate])
      if (fault !== null) throw fault
      if (stopped.signal.aborted) return
      listener = opened
      await beat(opened)
      events.following()
      timer = setInterval(() => beat(opened).catch(() => {}), HEARTBEAT_MS).unref()
      const error = await interruption
      if (error !== null) throw new Interruption(error)
    } finally {
      clearInterval(timer)
      stopped.signal.removeEventListener('abort', stop)
      listener = null
      cache.lost()
      await opened.close().catch(() => {})
    }
  }

  const beat = async (opened: NotificationListener) => {
    const at = monotonic()
    await opened.roundTrip()
    if (listener === opened) cache.heard(at)
  }

  const run = async () => {
    while (!stopped.signal.aborted) {
      const error = await follow().catch(error => error as Error)
      if (!error || stopped.signal.aborted) return
      events.interrupted(error)
      // A connection that worked is tried again at once.
      if (!(error instanceof Interruption))
        await delay(RETRY_MS, undefined, { signal: stopped.signal, ref: false }).catch(() => {})
    }
  }
  const running = run()

  return {
    async settle() {
      // Without a listener nothing is remembered, and what is lost on the way is forgotten.
      await listener?.roundTrip().catch(() => {})
    },
    async close() {
      const isConnected = listener !== null
      stopped.abort()
      // Whoever waits for a database that does not answer is not waited for.
      if (isConnected) await running
    },
  }
}
