import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { tooManyRequests } from '#src/responses/errors.ts'
import { toHttpError } from './errors.ts'
import type { Gate } from './gate.ts'
import { isUnderWay } from './request.ts'

/** Answers what no hook sees, such as a path that cannot be decoded. It counts for its address all the same. */
export const answerFrameworkError =
  ({ headers, gate, clock }: { headers: Record<string, string>; gate: Gate; clock: () => number }) =>
  (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
    const { raw } = request
    const over = gate.count(raw, gate.clientOf(raw))
    const answer = over === null ? toHttpError(error) : tooManyRequests(over, clock())
    if (over !== null) request.server.metrics.rateLimited('ceiling')
    request.log.info(
      { method: request.method, status: answer.statusCode, address: gate.clientOf(raw).ip },
      'a request without a route',
    )
    reply
      .code(answer.statusCode)
      .headers({ ...headers, vary: 'Origin', 'x-request-id': request.id, ...answer.headers })
      .headers(isUnderWay(raw) ? { connection: 'close' } : {})
      .send(answer.body)
  }
