import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { serviceUnavailable } from '#src/responses/errors.ts'
import type { Schedule } from '#src/runtime/schedule.ts'
import type { Millis, MonotonicMillis } from '#src/runtime/units.ts'
import type { CorsHeaders } from './cors-headers.ts'
import { hasUnreadBody, isHealthCheck } from './request.ts'
import { isAppResponse } from './response.ts'

/**
 * How long requests may be started within one phase of an event loop iteration. libuv accepts one connection per
 * iteration: with iterations of 100 ms, which a thousand busy connections cause, a health check on a new connection would
 * wait for seconds behind other new connections.
 */
const SLICE_MS: Millis = 2

/** The most requests that are started in one iteration: more do not fit into a slice. */
const MAX_PER_ITERATION = 64

/** Requests are shed while the first one in the queue has waited longer than this. */
const MAX_WAIT_MS: Millis = 400

/**
 * How long the response to a shed request is delayed. Sending it costs half of what a request costs: clients that retry
 * immediately would use up the time for all others.
 */
const REFUSAL_DELAY_MS: Millis = 1_000

/** How often delayed responses are sent. */
const FLUSH_MS: Millis = 50

/** Admission control: starts, queues or sheds requests. */
export interface Admission {
  /**
   * Whether a request may be started now, without a queue. The caller then starts it.
   *
   * @param now the time
   */
  startsNow(now: MonotonicMillis): boolean
  /** Runs a request's work now or in a later iteration of the event loop. Returns false if the request is shed. */
  admit(work: () => void): boolean
  /** The length of the queue. */
  readonly waiting: number
  /** The number of requests that were shed. */
  readonly shed: number
  /** Calls a function for each request that is shed. Only one function. */
  onShed(listener: () => void): void
}

interface QueuedRequest {
  work: () => void
  since: MonotonicMillis
}

/**
 * Creates the {@link Admission} of a server. Requests are started in time slices, to keep the event loop responsive: when
 * the slice of an iteration is used up, further requests wait in a FIFO queue. Requests are shed when the head of the
 * queue has waited longer than {@link MAX_WAIT_MS}, so no request waits much longer.
 */
export function createAdmission({ monotonic }: { monotonic: () => number }): Admission {
  let queue: QueuedRequest[] = []
  let head = 0
  let shed = 0
  let listener = () => {}
  /** The end of the slice of the current poll phase; null before its first request. */
  let pollEnd: MonotonicMillis | null = null
  /** The end of the slice of the current check phase, which processes the queue. */
  let checkEnd: MonotonicMillis | null = null
  /** The number of immediates that have not run yet. */
  let scheduled = 0

  const next = (): QueuedRequest | undefined => {
    const first = queue[head]
    if (first === undefined) return undefined
    head += 1
    if (head === queue.length) [queue, head] = [[], 0]
    else if (head > 1_000) [queue, head] = [queue.slice(head), 0]
    return first
  }

  // One request per immediate: between immediates Node runs microtasks.
  const drain = () => {
    checkEnd ??= monotonic() + SLICE_MS
    if (monotonic() < checkEnd) next()?.work()
    scheduled -= 1
    if (scheduled > 0) return
    checkEnd = null
    scheduleDrain()
  }

  const scheduleDrain = () => {
    for (const limit = Math.min(queue.length - head, MAX_PER_ITERATION); scheduled < limit; scheduled++) {
      setImmediate(drain)
    }
  }

  const endPoll = () => {
    pollEnd = null
  }
  const startsNow = (now: MonotonicMillis): boolean => {
    if (head < queue.length) return false
    if (pollEnd === null) {
      pollEnd = now + SLICE_MS
      setImmediate(endPoll)
    }
    return now < pollEnd
  }

  return {
    startsNow,
    admit(work) {
      const now = monotonic()
      if (startsNow(now)) {
        work()
        return true
      }
      const first = queue[head]
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
 * Applies admission control before any other work. Shed requests get 503 with Retry-After, delayed by
 * {@link REFUSAL_DELAY_MS}. While requests are queued, clients over their ceiling get their 429 with the same delay: a
 * flood from one address occupies no slots of the queue.
 *
 * @param options.hostOf the host that a request names, to a proxy as well
 * @param options.admits whether a request's client is within its ceiling
 */
export function withAdmission(
  admission: Admission,
  {
    corsHeaders,
    hostOf,
    admits,
    monotonic,
    schedule,
  }: {
    corsHeaders: CorsHeaders
    hostOf: (request: IncomingMessage) => string
    admits: (request: IncomingMessage) => boolean
    monotonic: () => number
    schedule: Schedule
  },
  handle: RequestListener,
): RequestListener {
  const { statusCode, body, headers: more } = serviceUnavailable()
  const payload = JSON.stringify(body)
  const allHeaders = {
    ...more,
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(payload),
  }
  const closingHeaders = { ...allHeaders, connection: 'close' }

  const refuse = (request: IncomingMessage, response: ServerResponse) => {
    // An unread body would precede the next request on the connection.
    const reading = corsHeaders(request.headers.origin, hostOf(request))
    response
      .writeHead(statusCode, { ...(hasUnreadBody(request) ? closingHeaders : allHeaders), ...reading })
      .end(payload)
  }

  const delayed: { respond: () => void; until: MonotonicMillis }[] = []
  const flush = () => {
    const now = monotonic()
    const due = delayed.findIndex(({ until }) => until > now)
    for (const { respond } of delayed.splice(0, due === -1 ? delayed.length : due)) respond()
    if (delayed.length > 0) schedule(FLUSH_MS, flush)
  }
  const delay = (respond: () => void) => {
    if (delayed.length === 0) schedule(REFUSAL_DELAY_MS, flush)
    delayed.push({ respond, until: monotonic() + REFUSAL_DELAY_MS })
  }

  return (request, response) => {
    // Orchestrators and load balancers remove instances that do not respond to health checks.
    if (isHealthCheck(request.url)) return handle(request, response)
    if (admission.startsNow(isAppResponse(response) ? response.startedAt : monotonic())) {
      return handle(request, response)
    }
    const unlessDisconnected = (act: RequestListener) => () => {
      if (!response.destroyed) act(request, response)
    }
    if (admission.waiting > 0 && !admits(request)) return delay(unlessDisconnected(handle))
    if (!admission.admit(unlessDisconnected(handle))) delay(unlessDisconnected(refuse))
  }
}
