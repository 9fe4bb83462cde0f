import type { FastifyError } from 'fastify'
import fp from 'fastify-plugin'
import type { HttpError } from '../src/api/errors.ts'
import { LookupRefused } from '../src/database/shared-lookup.ts'
import { DatabaseBusy } from '../src/database/unavailable.ts'
import { toHttpError } from '../src/http.ts'

/** Renders every error as Laravel's JSON. What went wrong inside goes to the log, never to the client. */
export default fp(
  async app => {
    app.setErrorHandler<FastifyError | HttpError>((error, request, reply) => {
      const answer = toHttpError(error, request.headers['content-type'])
      // Under a flood, or from callers who hang up, there are as many of these as requests: their lines say 503.
      const isMany = error instanceof LookupRefused || error instanceof DatabaseBusy
      if (answer.statusCode >= 500 && !isMany) request.log.error({ err: error }, 'request failed')
      else request.log.debug({ err: error }, 'request refused')
      // A status of Laravel's own, for which HTTP has no words.
      if (answer.statusCode === 419) reply.raw.statusMessage = 'CSRF Token Mismatch'
      if (request.isPanel) return app.panel.refuse(request, reply, answer)
      return reply.code(answer.statusCode).headers(answer.headers).send(answer.body)
    })
  },
  { name: 'errors' },
)
