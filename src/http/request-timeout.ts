import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'
import { requestTimeout } from '#src/responses/errors.ts'
import type { Schedule } from '#src/runtime/schedule.ts'
import type { Millis, MonotonicMillis } from '#src/runtime/units.ts'
import { RequestTimedOut } from './errors.ts'
import { type OngoingRequest, OngoingRequests } from './ongoing-requests.ts'

/** How often requests are checked for the timeout. */
const SWEEP_MS: Millis = 1_000

/** Responds to requests that time out. */
export interface RequestTimeouts {
  /** @param since when the request arrived */
  begin(reply: FastifyReply, since: MonotonicMillis): OngoingRequest<FastifyReply>
  end(entry: OngoingRequest<FastifyReply>): void
  close(): void
}

/**
 * Creates the {@link RequestTimeouts} of a server. A request that times out gets 503, or 408 if its body is incomplete.
 * Unlike Fastify's `handlerTimeout` it covers unknown paths and hooks. The handler is not interrupted.
 *
 * @param limitMs REQUEST_TIMEOUT
 */
export function createRequestTimeouts(
  limitMs: Millis,
  { monotonic, schedule }: { monotonic: () => MonotonicMillis; schedule: Schedule },
): RequestTimeouts {
  const ongoing = new OngoingRequests<FastifyReply>()
  let cancelSweep: (() => void) | null = null
  const sweep = () => {
    cancelSweep = null
    for (const reply of ongoing.takeOlderThan(monotonic() - limitMs)) timeOut(reply)
    if (!ongoing.isEmpty) cancelSweep = schedule(SWEEP_MS, sweep)
  }
  return {
    begin(reply, since) {
      cancelSweep ??= schedule(SWEEP_MS, sweep)
      return ongoing.begin(reply, since)
    },
    end: entry => ongoing.end(entry),
    close: () => cancelSweep?.(),
  }
}

function timeOut(reply: FastifyReply) {
  const request: FastifyRequest = reply.request
  // The response is being sent already.
  if (reply.sent || reply.raw.headersSent) return
  request.isTimedOut = true
  reply.log = debugOnlyLog(request.log)
  reply.send(isIncomplete(request) ? requestTimeout() : new RequestTimedOut())
}

/** Whether part of the body has not arrived yet. */
const isIncomplete = ({ headers, raw }: FastifyRequest) =>
  (Number(headers['content-length']) > 0 || headers['transfer-encoding'] !== undefined) &&
  !raw.complete &&
  !raw.readableEnded

/** Returns a logger that writes everything at level debug: errors of a handler after its timeout are expected. */
function debugOnlyLog(log: FastifyBaseLogger): FastifyBaseLogger {
  const debug = log.debug.bind(log)
  const quiet = Object.fromEntries(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].map(name => [name, debug]),
  )
  return Object.assign(quiet, { level: log.level, child: () => debugOnlyLog(log) }) as never
}
