import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { requireFewValues } from '#src/input/json-size.ts'
import { FORM_TYPES, multipartPairs, parseForm, valuesOf } from './form.ts'
import { readBody } from './method-override.ts'

/** How many parameters a form of the panel's can have, as with PHP: a page of boxes to tick has many. */
const BOXES = 1_000

/** What is JSON besides, such as `application/vnd.api+json` (RFC 6839 §3.1). */
const JSON_SUFFIX = /^[\w.-]+\/[\w.-]+\+json(;|$)/i

/** Has bodies read as JSON or as forms. An empty one is none, whatever its type says. */
export function parseBodies(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error')
  for (const type of ['application/json', JSON_SUFFIX]) {
    app.addContentTypeParser(type, { parseAs: 'string' }, (request, body, done) => {
      if (body === '') return done(null)
      requireFewValues(String(body))
      parseJson(request, String(body), done)
    })
  }
  const mostOf = ({ isPanel }: FastifyRequest) => (isPanel ? BOXES : undefined)
  app.addContentTypeParser(
    FORM_TYPES.urlencoded,
    { parseAs: 'buffer' },
    async (request: FastifyRequest, body: Buffer) => parseForm(body.toString('latin1'), mostOf(request)),
  )
  app.addContentTypeParser(
    FORM_TYPES.multipart,
    { parseAs: 'buffer' },
    async (request: FastifyRequest, body: Buffer) =>
      valuesOf(multipartPairs(request.headers['content-type'] ?? '', body, mostOf(request))),
  )
  // A form that was read before it was routed, for its method, comes from memory.
  app.addHook('preParsing', (request, _reply, payload, done) => {
    const body = readBody(request.raw)
    done(null, body === undefined ? payload : Readable.from([body]))
  })
}
