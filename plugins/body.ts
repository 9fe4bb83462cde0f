import fp from 'fastify-plugin'
import { HttpError } from '../src/api/errors.ts'
import { MESSAGES } from '../src/api/messages.ts'
import { parseQueryString, QueryTooLarge } from '../src/api/query/querystring.ts'

/** Reads bodies as JSON or as forms. An empty one is none, whatever its type says. */
export default fp(
  async app => {
    const parseJson = app.getDefaultJsonParser('error', 'error')
    app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
      if (body === '') done(null)
      else parseJson(request, String(body), done)
    })
    app.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string' },
      async (_request: unknown, body: string) => {
        try {
          return parseQueryString(body)
        } catch (error) {
          throw error instanceof QueryTooLarge ? new HttpError(400, MESSAGES.badRequest) : error
        }
      },
    )
  },
  { name: 'body', dependencies: ['errors'] },
)
