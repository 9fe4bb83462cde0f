import { STATUS_CODES } from 'node:http'
import { queryStringOf } from '#src/input/querystring.ts'
import { normalizeInput } from '#src/input/values.ts'
import { HttpError } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { parseForm } from '../form.ts'
import { FORM_LIMIT_BYTES, formFaultOf } from '../method-override.ts'
import { hasUnreadBody } from '../request.ts'
import type { Step } from '../step.ts'

/** Responds with 408 and 413 to forms that could not be read to their end before routing. */
export const earlyFormStep: Step = {
  appliesTo: route => route === null || route.isUnsafe,
  run({ raw }, reply) {
    const fault = formFaultOf(raw)
    if (fault === null) return
    if (fault === 'large') throw new HttpError(413, MESSAGES.bodyTooLarge(FORM_LIMIT_BYTES))
    // Not thrown: the panel would render a page.
    reply.code(408).header('connection', 'close').send({ message: STATUS_CODES[408] })
    return 'responded'
  },
}

/**
 * Normalizes the body as Laravel does: trims strings, and converts empty ones to null. With `takesQuery` fields that the
 * body lacks are taken from the query string.
 */
export const inputStep: Step = {
  appliesTo: route => route?.config.hasBody === true,
  run(request) {
    const input = normalizeInput(request.body)
    request.body =
      request.routeConfig.takesQuery === true
        ? Object.assign(normalizeInput(parseForm(queryStringOf(request.url))), input)
        : input
  },
}

/** Closes the connection after a request whose body was not read: otherwise Node would continue to receive it. */
export const unreadBodyStep: Step = {
  run({ raw }, reply) {
    if (hasUnreadBody(raw)) reply.header('connection', 'close')
  },
}
