import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { serviceUnavailable } from '#src/responses/errors.ts'
import type { Schedule } from '#src/runtime/schedule.ts'
import { isHealthCheck, isUnderWay } from './request.ts'

/**
 * How long requests may be begun within one phase of a turn of the event loop, in milliseconds. libuv accepts one
 * connection a turn: with turns of 100 ms, as a thousand busy connections make them, a health check on a new
 * connection waits for seconds behind all that connect.
 */
const SLICE_MS = 2

/** Requests that are begun in one turn at most: more do not fit into a slice. */
const PER_TURN = 64

/** How long the first request of the queue may have waited before further ones are shed, in milliseconds. */
const MAX_WAIT_MS = 400

/**
 * How long a request that is refused under load waits for its answer, in milliseconds. Making the answer costs Node
 * half of what a request costs: clients that ask again at once would leave no time for any other.
 */
const HOLD_MS = 1_000

/** How often answers that were held are sent, in milliseconds. */
const FLUSH_MS = 50

/** Which requests a server begins, and when. */
export interface Admission {
  /** Runs a request's work now or in one of the next turns of the event loop; returns false if it is shed instead. */
  admit(work: () => void): boolean
  /** Requests that wait for their turn. */
  readonly waiting: number
  /** Requests that were shed so far. */
  readonly shed: number
  /** Has a function called for each request that is shed. */
  onShed(listener: () => void): void
}

interface Waiting {
  work: () => void
  since: number
}

/**
 * Begins requests in slices of time: those that arrive when the slice of a turn is used up wait in a queue, first come
 * first served, so that the event loop keeps turning. Load is shed by the time that the queue's first has waited: none is
 * begun that waited much longer than {@link MAX_WAIT_MS}.
 *
 * @param options.monotonic milliseconds since a moment that does not change
 */
export function admission({ monotonic }: { monotonic: () => number }): Admission {
  let queue: Waiting[] = []
  let head = 0
  let shed = 0
  let listener = () => {}
  /** When the slice of the present poll phase ends; null before its first request. */
  let pollEnd: number | null = null
  /** The same of the check phase, in which the queue is worked off. */
  let checkEnd: number | null = null
  /** Immediates that are yet to run in the check phase. */
  let scheduled = 0

  const next = (): Waiting | undefined => {
    const first = queue[head]
    if (first === undefined) return undefined
    head += 1
    if (head === queue.length) [queue, head] = [[], 0]
    else if (head > 1_000) [queue, head] = [queue.slice(head), 0]
    return first
  }

  // One request for each immediate: between two of them Node runs what their promises have left to do.
  const drain = () => {
    checkEnd ??= monotonic() + SLICE_MS
    if (monotonic() < checkEnd) next()?.work()
    scheduled -= 1
    if (scheduled > 0) return
    checkEnd = null
    scheduleDrain()
  }

  const scheduleDrain = () => {
    for (const most = Math.min(queue.length - head, PER_TURN); scheduled < most; scheduled++) {
      setImmediate(drain)
    }
  }

  return {
    admit(work) {
      const now = monotonic()
      const first = queue[head]
      if (first === undefined) {
        if (pollEnd === null) {
          pollEnd = now + SLICE_MS
          setImmediate(() => {
            pollEnd = null
          })
        }
        if (now < pollEnd) {
          work()
          return true
        }
      }
      if (first !== undefined && now - first.since > MAX_WAIT_MS) {
        shed += 1
        listener()
        return false
      }
      queue.push({ work, since: now })
      scheduleDrain()
      return true
    },
    get waiting() {
      return queue.length - head
    },
    get shed() {
      return shed
    },
    onShed(listen) {
      listener = listen
    },
  }
}

/**
 * Has requests admitted before anything else is done for them. Those that are shed get 503 with Retry-After, after
 * {@link HOLD_MS}. While others wait, so does the 429 of a client that is over its ceiling: a flood of one address
 * takes no place in the queue.
 *
 * @param options.headers the headers of every answer
 * @param options.admits whether a request's client is within its ceiling
 * @param options.monotonic milliseconds since a moment that does not change
 */
export function withAdmission(
  gate: Admission,
  {
    headers,
    admits,
    monotonic,
    schedule,
  }: {
    headers: Readonly<Record<string, string>>
    admits: (request: IncomingMessage) => boolean
    monotonic: () => number
    schedule: Schedule
  },
  handle: RequestListener,
): RequestListener {
  const { statusCode, body, headers: more } = serviceUnavailable()
  const payload = JSON.stringify(body)
  const allHeaders = {
    ...headers,
    ...more,
    vary: 'Origin',
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(payload),
  }
  const closing = { ...allHeaders, connection: 'close' }

  const refuse = (request: IncomingMessage, response: ServerResponse) => {
    // A body that nobody reads would stand before the connection's next request.
    response.writeHead(statusCode, isUnderWay(request) ? closing : allHeaders).end(payload)
  }

  const held: { answer: () => void; until: number }[] = []
  const flush = () => {
    const now = monotonic()
    const due = held.findIndex(({ until }) => until > now)
    for (const { answer } of held.splice(0, due === -1 ? held.length : due)) answer()
    if (held.length > 0) schedule(FLUSH_MS, flush)
  }
  const hold = (answer: () => void) => {
    if (held.length === 0) schedule(HOLD_MS, flush)
    held.push({ answer, until: monotonic() + HOLD_MS })
  }

  return (request, response) => {
    // Orchestrators and load balancers take an instance away that does not answer them.
    if (isHealthCheck(request.url)) return handle(request, response)
    /** Does something, unless the client has hung up meanwhile. */
    const unlessGone = (act: RequestListener) => () => {
      if (!response.destroyed) act(request, response)
    }
    if (gate.waiting > 0 && !admits(request)) return hold(unlessGone(handle))
    if (!gate.admit(unlessGone(handle))) hold(unlessGone(refuse))
  }
}
