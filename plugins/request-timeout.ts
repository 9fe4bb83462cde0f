import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { requestTimeout } from '#src/answers/errors.ts'
import { RequestTimedOut } from '#src/http/http.ts'
import { OngoingRequests } from '#src/http/ongoing-requests.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whether it was answered 503 since it took too long: nothing else is to be waited for. */
    isGivenUp: boolean
  }
}

/** How often it is looked for requests that take too long, in milliseconds. */
const SWEEP_MS = 1_000

/**
 * Answers requests 503 that are not answered within REQUEST_TIMEOUT, those for unknown paths and those that hang in a
 * hook included, which Fastify's `handlerTimeout` leaves out. What they have begun may still come to its end.
 */
export default fp(
  async app => {
    const { config, monotonic, schedule } = app
    const ongoing = new OngoingRequests<FastifyReply>(monotonic)
    const limitMs = config.requestTimeout * 1_000
    let cancelSweep: (() => void) | null = null

    const sweep = () => {
      cancelSweep = null
      for (const reply of ongoing.takeOlderThan(limitMs)) giveUp(reply)
      if (ongoing.size > 0) cancelSweep = schedule(SWEEP_MS, sweep)
    }

    app.decorateRequest('isGivenUp', false)
    app.addStep('onRequest', {
      run(_request, reply) {
        ongoing.begin(reply)
        cancelSweep ??= schedule(SWEEP_MS, sweep)
      },
    })
    app.onRequestEnd((_request, reply) => ongoing.end(reply))
    app.addHook('onClose', async () => cancelSweep?.())
  },
  { name: 'request-timeout', dependencies: ['request-end', 'steps'] },
)

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
