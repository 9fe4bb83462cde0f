import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyRequest, preParsingHookHandler } from 'fastify'
import { requireLimitedValues } from '#src/input/json-size.ts'
import { FORM_TYPES, nestPairs, parseForm, parseMultipartPairs } from './form.ts'
import { earlyBodyOf } from './method-override.ts'

/** The most fields that a form of the panel may have, as PHP's `max_input_vars`: pages with many checkboxes need them. */
const MAX_PANEL_FIELDS = 1_000

/** Matches media types with the suffix `+json`, such as `application/vnd.api+json` (RFC 6839 §3.1). */
const JSON_SUFFIX = /^[\w.-]+\/[\w.-]+\+json(;|$)/i

/** What is JSON besides; `text/json` was its type before it had one (RFC 4627), and some clients still send it. */
const JSON_TYPES = ['application/json', 'text/json', JSON_SUFFIX]

/** Registers parsers for JSON and forms. An empty body counts as no body, regardless of its type. */
export function addBodyParsers(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error')
  for (const type of JSON_TYPES) {
    app.addContentTypeParser(type, { parseAs: 'string' }, (request, body, done) => {
      if (body === '') return done(null)
      requireLimitedValues(String(body))
      parseJson(request, String(body), done)
    })
  }
  const fieldLimitOf = ({ isPanel }: FastifyRequest) => (isPanel ? MAX_PANEL_FIELDS : undefined)
  app.addContentTypeParser(
    FORM_TYPES.urlencoded,
    { parseAs: 'buffer' },
    async (request: FastifyRequest, body: Buffer) =>
      parseForm(body.toString('latin1'), fieldLimitOf(request)),
  )
  app.addContentTypeParser(
    FORM_TYPES.multipart,
    { parseAs: 'buffer' },
    async (request: FastifyRequest, body: Buffer) =>
      nestPairs(parseMultipartPairs(request.headers['content-type'] ?? '', body, fieldLimitOf(request))),
  )
}

/** Replays the body of a form that was read before routing, for its method override. */
export const replayEarlyBody: preParsingHookHandler = (request, _reply, payload, done) => {
  const body = earlyBodyOf(request.raw)
  done(null, body === undefined ? payload : Readable.from([body]))
}
