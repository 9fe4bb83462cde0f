import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { HttpError } from '../src/api/errors.ts'
import { normalizeInput, withLists } from '../src/api/input.ts'
import { MESSAGES } from '../src/api/messages.ts'
import { parseQueryString, QUERY_LIMITS, QueryTooLarge } from '../src/api/query/querystring.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route takes a body, by its schema. */
    hasBody?: boolean
    /** Whether what the body does not have may stand in the query string. */
    takesQuery?: boolean
  }
}

/** How many parameters a form of the panel's can have, as with PHP: a page of boxes to tick has many. */
const BOXES = 1_000

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
      async (request: FastifyRequest, body: Buffer) => {
        const most = request.isPanel ? BOXES : QUERY_LIMITS.parameters
        return parseForm(body.toString('latin1'), most)
      },
    )

    app.addHook('onRoute', route => {
      if (route.schema?.body !== undefined) route.config = { ...route.config, hasBody: true }
    })

    app.addHook('preValidation', (request, _reply, done) => {
      if (request.routeConfig.hasBody !== true) return done()
      try {
        const input = normalizeInput(request.body)
        request.body =
          request.routeConfig.takesQuery === true
            ? Object.assign(normalizeInput(queryOf(request.url)), input)
            : input
        done()
      } catch (error) {
        done(error as Error)
      }
    })
  },
  { name: 'body', dependencies: ['api-area'] },
)

/** @throws {HttpError} 400 for more than anybody means */
function parseForm(text: string, most: number = QUERY_LIMITS.parameters) {
  try {
    return withLists(parseQueryString(text, { trim: false, most }))
  } catch (error) {
    throw error instanceof QueryTooLarge ? new HttpError(400, MESSAGES.badRequest) : error
  }
}

function queryOf(url: string) {
  const mark = url.indexOf('?')
  return mark === -1 ? {} : parseForm(url.slice(mark + 1))
}
