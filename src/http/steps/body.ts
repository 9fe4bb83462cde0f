import { STATUS_CODES } from 'node:http'
import { searchOf } from '#src/input/querystring.ts'
import { normalizeInput } from '#src/input/values.ts'
import { parseForm } from '../form.ts'
import { isTooSlow } from '../method-override.ts'
import { isUnderWay } from '../request.ts'
import type { Step } from '../step.ts'

/** Answers 408 to a form that was to be read before it was routed, for its method, and did not come in time. */
export const slowFormStep: Step = {
  appliesTo: route => route === null || route.isUnsafe,
  // Not thrown: the panel would render a page of it.
  run({ raw }, reply) {
    if (!isTooSlow(raw)) return
    reply.code(408).header('connection', 'close').send({ message: STATUS_CODES[408] })
    return 'answered'
  },
}

/** Makes Laravel's input of a body that was read: trimmed, empty texts as null, and with the query string's values below. */
export const inputStep: Step = {
  appliesTo: route => route?.config.hasBody === true,
  run(request) {
    const input = normalizeInput(request.body)
    request.body =
      request.routeConfig.takesQuery === true
        ? Object.assign(normalizeInput(parseForm(searchOf(request.url))), input)
        : input
  },
}

/** Has the connection of a request end whose body was not read: otherwise Node would go on receiving it. */
export const unreadBodyStep: Step = {
  run({ raw }, reply) {
    if (isUnderWay(raw)) reply.header('connection', 'close')
  },
}
