import type { IncomingMessage, RequestListener } from 'node:http'
import type { Schedule } from '#src/runtime/schedule.ts'
import { FORM_TYPES, multipartPairs, urlencodedPairs } from './form.ts'

/** What a form may ask for in the place of POST. Anything else it says is ignored. */
const METHODS = new Set(['PUT', 'PATCH', 'DELETE'])

/** The largest form that is asked for a method, in bytes: it is read before it is known who sends it. */
const FORM_LIMIT_BYTES = 65_536

/** The longest that such a form may take to arrive, in milliseconds. */
const FORM_DEADLINE_MS = 10_000

/** What was read before the router: a body, or null for one that did not arrive in time. */
const forms = new WeakMap<IncomingMessage, Buffer | null>()

/** The body of a request that was read already; undefined for all others. */
export const readBody = (request: IncomingMessage): Buffer | undefined => forms.get(request) ?? undefined

/** Whether a request was to be read before the router, and its body did not arrive in time. */
export const isTooSlow = (request: IncomingMessage): boolean => forms.get(request) === null

/** What has to be known before a form is read. */
export interface MethodOverride {
  /** Whether a request's form may be read: asked before its first byte is. One that is refused stays unread. */
  admits(request: IncomingMessage): boolean
  schedule: Schedule
}

/**
 * Lets a `POST` be a `PUT`, `PATCH` or `DELETE`, as Laravel does for forms, which can do no other: by the header
 * `X-HTTP-Method-Override`, else by the form's field `_method`. Routing goes by the method, and so this comes before
 * it. What a `POST` becomes changes something as well, and is held to the same proofs.
 *
 * This answers nothing itself: a request that is not admitted, or whose form did not arrive within ten seconds, goes
 * on to the router with its body unread, where hooks refuse it.
 */
export const withMethodOverride =
  (handle: RequestListener, { admits, schedule }: MethodOverride): RequestListener =>
  (request, response) => {
    if (request.method !== 'POST') return handle(request, response)
    const header = request.headers['x-http-method-override']
    if (header !== undefined) {
      override(request, header)
      return handle(request, response)
    }
    const length = Number(request.headers['content-length'] ?? 0)
    if (!(length > 0 && length <= FORM_LIMIT_BYTES) || typeOf(request) === null || !admits(request)) {
      return handle(request, response)
    }

    const chunks: Buffer[] = []
    const onData = (chunk: Buffer) => chunks.push(chunk)
    const onEnd = () => {
      stop()
      const body = Buffer.concat(chunks)
      forms.set(request, body)
      override(request, methodOf(request, body))
      handle(request, response)
    }
    const cancel = schedule(FORM_DEADLINE_MS, () => {
      stop()
      request.pause()
      forms.set(request, null)
      handle(request, response)
    })
    const stop = () => {
      cancel()
      request.off('data', onData).off('end', onEnd).off('close', stop)
    }
    // A client that hangs up gets no answer: its request closes without an end.
    request.on('data', onData).on('end', onEnd).on('close', stop)
  }

function override(request: IncomingMessage, method: string | string[] | undefined) {
  if (typeof method === 'string' && METHODS.has(method.toUpperCase())) request.method = method.toUpperCase()
}

function typeOf({ headers }: IncomingMessage) {
  const type = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase()
  return Object.values(FORM_TYPES).find(formType => formType === type) ?? null
}

/** The last of the fields that are named so, as PHP has it. No other is looked at, however many there are. */
function methodOf(request: IncomingMessage, body: Buffer): string | undefined {
  try {
    const pairs =
      typeOf(request) === FORM_TYPES.urlencoded
        ? urlencodedPairs(body.toString('latin1'), MOST_PAIRS)
        : multipartPairs(request.headers['content-type'] ?? '', body, MOST_PAIRS)
    return pairs.findLast(([name]) => name === '_method')?.[1]
  } catch {
    // Its route says what is wrong with the form.
    return undefined
  }
}

/** No form has more pairs: those of the panel have fewer (see plugins/body.ts), all others far fewer. */
const MOST_PAIRS = 1_000
