import fp from 'fastify-plugin'
import { HttpError } from '../src/api/errors.ts'
import { normalizeInput } from '../src/api/input.ts'
import { MESSAGES } from '../src/api/messages.ts'
import { parseQueryString, QueryTooLarge } from '../src/api/query/querystring.ts'

/** Reads bodies as JSON or as forms, and makes Laravel's input of them. An empty one is none, whatever its type says. */
export default fp(
  async app => {
    const parseJson = app.getDefaultJsonParser('error', 'error')
    app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
      if (body === '') done(null)
      else parseJson(request, String(body), done)
    })
    app.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'buffer' },
      async (_request: unknown, body: Buffer) => {
        try {
          return parseQueryString(body.toString('latin1'), { trim: false })
        } catch (error) {
          throw error instanceof QueryTooLarge ? new HttpError(400, MESSAGES.badRequest) : error
        }
      },
    )

    app.addHook('preValidation', async request => {
      if (request.routeOptions.schema?.body !== undefined) request.body = normalizeInput(request.body)
    })
  },
  { name: 'body', dependencies: ['errors'] },
)
