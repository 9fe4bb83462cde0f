import { Readable } from 'node:stream'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { SMALL_BODY_LIMIT_BYTES } from '#src/answers/errors.ts'
import { FORM_TYPES, multipartPairs, parseForm, valuesOf } from '#src/http/form.ts'
import { readBody } from '#src/http/method-override.ts'
import { inputStep, slowFormStep, unreadBodyStep } from '#src/http/steps/body.ts'
import { requireFewValues } from '#src/input/json-size.ts'

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

/** What is JSON besides, such as `application/vnd.api+json` (RFC 6839 §3.1). */
const JSON_SUFFIX = /^[\w.-]+\/[\w.-]+\+json(;|$)/i

/**
 * Reads bodies as JSON or as forms, and makes Laravel's input of them. An empty one is none, whatever its type says.
 * They are bounded by route, and what is left of one that is not read ends with its connection.
 */
export default fp(
  async app => {
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

    // A form that was asked for its method is read, and comes from memory.
    app.addHook('preParsing', (request, _reply, payload, done) => {
      const body = readBody(request.raw)
      done(null, body === undefined ? payload : Readable.from([body]))
    })

    app.addHook('onRoute', route => {
      const { access, isWeb } = route.config ?? {}
      if (isWeb || access?.auth !== 'required') route.bodyLimit ??= SMALL_BODY_LIMIT_BYTES
      if (route.schema?.body !== undefined) route.config = { ...route.config, hasBody: true }
    })
    app.addStep('onRequest', slowFormStep)
    app.addStep('preValidation', inputStep)
    app.addStep('onSend', unreadBodyStep)
  },
  { name: 'body', dependencies: ['area', 'steps'] },
)
