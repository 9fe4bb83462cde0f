import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { tooManyRequests } from '#src/responses/errors.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { CorsHeaders } from './cors-headers.ts'
import { toHttpError } from './errors.ts'
import type { Gate } from './gate.ts'
import { hasUnreadBody } from './request.ts'
import { requestLogger } from './request-logger.ts'
import { setCommonHeaders } from './response.ts'

/** Creates the handler for requests that reach no hook, such as undecodable paths. They count towards the ceiling too. */
export const createFrameworkErrorHandler =
  ({
    headers,
    corsHeaders,
    gate,
    clock,
  }: {
    headers: Readonly<Record<string, string>>
    corsHeaders: CorsHeaders
    gate: Gate
    clock: () => EpochMillis
  }) =>
  (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
    const { raw } = request
    const exceeded = gate.count(raw, gate.clientOf(raw))
    const response = exceeded === null ? toHttpError(error) : tooManyRequests(exceeded, clock())
    if (exceeded !== null) request.server.metrics.countRateLimited('ceiling')
    requestLogger(request.server.log, request.id).info(
      { method: request.method, status: response.statusCode, address: gate.clientOf(raw).ip },
      'request without a route',
    )
    setCommonHeaders(reply, headers)
    reply
      .code(response.statusCode)
      .headers(response.headers)
      .headers(corsHeaders(request.headers.origin, request.host ?? ''))
      .headers(hasUnreadBody(raw) ? { connection: 'close' } : {})
      .send(response.body)
  }
