import type { FastifyError } from 'fastify'
import fp from 'fastify-plugin'
import type { HttpError } from '../src/api/errors.ts'
import { toHttpError } from '../src/http.ts'

/** Renders every error as Laravel's JSON. What went wrong inside goes to the log, never to the client. */
export default fp(
  async app => {
    app.setErrorHandler<FastifyError | HttpError>((error, request, reply) => {
      const answer = toHttpError(error, request.headers['content-type'])
      if (answer.statusCode >= 500) request.log.error({ err: error }, 'request failed')
      else request.log.debug({ err: error }, 'request refused')
      // A status of Laravel's own, for which HTTP has no words.
      if (answer.statusCode === 419) reply.raw.statusMessage = 'CSRF Token Mismatch'
      return reply.code(answer.statusCode).headers(answer.headers).send(answer.body)
    })
  },
  { name: 'errors' },
)
