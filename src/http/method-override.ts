import type { IncomingMessage, RequestListener } from 'node:http'
import type { Schedule } from '#src/runtime/schedule.ts'
import type { Bytes, Millis } from '#src/runtime/units.ts'
import { FORM_TYPES, parseMultipartPairs, parseUrlencodedPairs } from './form.ts'

/** The methods that may replace POST. Others are ignored. */
const METHODS = new Set(['PUT', 'PATCH', 'DELETE'])

/** The largest form that is searched for `_method`. It is read before the caller is authenticated. */
const FORM_LIMIT_BYTES: Bytes = 65_536

/** The deadline for receiving such a form. */
const FORM_DEADLINE_MS: Millis = 10_000

/** The bodies that were read before routing. Null for a body that missed the deadline. */
const earlyBodies = new WeakMap<IncomingMessage, Buffer | null>()

/** Returns the body of a request that was read before routing; undefined for others. */
export const earlyBodyOf = (request: IncomingMessage): Buffer | undefined =>
  earlyBodies.get(request) ?? undefined

/** Whether the form of a request missed the deadline for reading it before routing. */
export const isFormTooSlow = (request: IncomingMessage): boolean => earlyBodies.get(request) === null

/** Options of {@link withMethodOverride}. */
export interface MethodOverride {
  /** Whether a request's form may be read. Called before its first byte is read. */
  admits(request: IncomingMessage): boolean
  schedule: Schedule
}

/**
 * Overrides the method of a `POST` with `PUT`, `PATCH` or `DELETE`, as Laravel does for HTML forms: from the header
 * `X-HTTP-Method-Override`, or else from the form field `_method`. It runs before the router, which selects by method.
 * The new methods are unsafe as well, so the same CSRF checks apply.
 *
 * It never responds itself: a request that is not admitted, or whose form misses the deadline, is routed with its body
 * unread. Steps refuse it then.
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
      earlyBodies.set(request, body)
      override(request, methodOf(request, body))
      handle(request, response)
    }
    const cancel = schedule(FORM_DEADLINE_MS, () => {
      stop()
      request.pause()
      earlyBodies.set(request, null)
      handle(request, response)
    })
    const stop = () => {
      cancel()
      request.off('data', onData).off('end', onEnd).off('close', stop)
    }
    // After a client disconnect the request closes without 'end'.
    request.on('data', onData).on('end', onEnd).on('close', stop)
  }

function override(request: IncomingMessage, method: string | string[] | undefined) {
  if (typeof method === 'string' && METHODS.has(method.toUpperCase())) request.method = method.toUpperCase()
}

function typeOf({ headers }: IncomingMessage) {
  const type = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase()
  return Object.values(FORM_TYPES).find(formType => formType === type) ?? null
}

/** Returns the last field `_method`, as PHP does. */
function methodOf(request: IncomingMessage, body: Buffer): string | undefined {
  try {
    const pairs =
      typeOf(request) === FORM_TYPES.urlencoded
        ? parseUrlencodedPairs(body.toString('latin1'), MAX_PAIRS)
        : parseMultipartPairs(request.headers['content-type'] ?? '', body, MAX_PAIRS)
    return pairs.findLast(([name]) => name === '_method')?.[1]
  } catch {
    // The route reports malformed forms.
    return undefined
  }
}

/** At least the limit of every route: see src/http/body-parsers.ts. */
const MAX_PAIRS = 1_000
