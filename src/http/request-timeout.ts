import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'
import { requestTimeout } from '#src/responses/errors.ts'
import type { Schedule } from '#src/runtime/schedule.ts'
import { RequestTimedOut } from './errors.ts'
import { OngoingRequests } from './ongoing-requests.ts'

/** How often it is looked for requests that take too long, in milliseconds. */
const SWEEP_MS = 1_000

/** Answers requests that are not answered in time. */
export interface RequestTimeouts {
  begin(reply: FastifyReply): void
  end(reply: FastifyReply): void
  close(): void
}

/**
 * Answers requests 503 that are not answered within a time, those for unknown paths and those that hang in a hook included,
 * which Fastify's `handlerTimeout` leaves out. What they have begun may still come to its end.
 *
 * @param limitMs REQUEST_TIMEOUT, in milliseconds
 */
export function requestTimeouts(
  limitMs: number,
  { monotonic, schedule }: { monotonic: () => number; schedule: Schedule },
): RequestTimeouts {
  const ongoing = new OngoingRequests<FastifyReply>(monotonic)
  let cancelSweep: (() => void) | null = null
  const sweep = () => {
    cancelSweep = null
    for (const reply of ongoing.takeOlderThan(limitMs)) giveUp(reply)
    if (ongoing.size > 0) cancelSweep = schedule(SWEEP_MS, sweep)
  }
  return {
    begin(reply) {
      ongoing.begin(reply)
      cancelSweep ??= schedule(SWEEP_MS, sweep)
    },
    end: reply => ongoing.end(reply),
    close: () => cancelSweep?.(),
  }
}

function giveUp(reply: FastifyReply) {
  const request: FastifyRequest = reply.request
  // What has begun to be sent is an answer.
  if (reply.sent || reply.raw.headersSent) return
  request.isGivenUp = true
  reply.log = belated(request.log)
  reply.send(isIncomplete(request) ? requestTimeout() : new RequestTimedOut())
}

/** Whether the client has not sent all of the body yet. */
const isIncomplete = ({ headers, raw }: FastifyRequest) =>
  (Number(headers['content-length']) > 0 || headers['transfer-encoding'] !== undefined) &&
  !raw.complete &&
  !raw.readableEnded

/** The log for what a handler does after its request was answered: that it failed then is no news. */
function belated(log: FastifyBaseLogger): FastifyBaseLogger {
  const debug = log.debug.bind(log)
  const quiet = Object.fromEntries(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].map(name => [name, debug]),
  )
  return Object.assign(quiet, { level: log.level, child: () => belated(log) }) as never
}
