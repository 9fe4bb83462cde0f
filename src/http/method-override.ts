import type { IncomingMessage, RequestListener } from 'node:http'
import type { Schedule } from '#src/runtime/schedule.ts'
import type { Bytes, Millis } from '#src/runtime/units.ts'
import { FORM_TYPES, parseMultipartPairs, parseUrlencodedPairs } from './form.ts'

/** The methods that may replace POST. Others are ignored. */
const METHODS = new Set(['PUT', 'PATCH', 'DELETE'])

/** The largest form that is searched for `_method`. It is read before the caller is authenticated. */
export const FORM_LIMIT_BYTES: Bytes = 65_536

/** The deadline for receiving such a form. */
const FORM_DEADLINE_MS: Millis = 10_000

/** Why a form was not read to its end before routing: it missed the deadline, or has more bytes than may be read then. */
export type FormFault = 'slow' | 'large'

/** The bodies that were read before routing. */
const earlyBodies = new WeakMap<IncomingMessage, Buffer | FormFault>()

/** Returns the body of a request that was read before routing; undefined for others. */
export function earlyBodyOf(request: IncomingMessage): Buffer | undefined {
  const body = earlyBodies.get(request)
  return typeof body === 'string' ? undefined : body
}

/** Why the form of a request was not read to its end before routing; null if it was, or did not have to be. */
export function formFaultOf(request: IncomingMessage): FormFault | null {
  const body = earlyBodies.get(request)
  return typeof body === 'string' ? body : null
}

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
 * It never responds itself: a request that is not admitted, or whose form is too slow or too large, is routed with its
 * body unread. Steps refuse it then. A form with a `Content-Length` above the limit is not read, and its method stays; of
 * one in chunks the length is not known before (RFC 9112 §7.1).
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
    if (!mayBeRead(request) || typeOf(request) === null || !admits(request)) return handle(request, response)

    const chunks: Buffer[] = []
    let size = 0
    const onData = (chunk: Buffer) => {
      chunks.push(chunk)
      size += chunk.length
      if (size > FORM_LIMIT_BYTES) giveUp('large')
    }
    const onEnd = () => {
      stop()
      const body = Buffer.concat(chunks)
      earlyBodies.set(request, body)
      override(request, methodOf(request, body))
      handle(request, response)
    }
    const giveUp = (fault: FormFault) => {
      stop()
      request.pause()
      earlyBodies.set(request, fault)
      handle(request, response)
    }
    const cancel = schedule(FORM_DEADLINE_MS, () => giveUp('slow'))
    const stop = () => {
      cancel()
      request.off('data', onData).off('end', onEnd).off('close', stop)
    }
    // After a client disconnect the request closes without 'end'.
    request.on('data', onData).on('end', onEnd).on('close', stop)
  }

/** Whether a body may be within the limit. */
function mayBeRead({ headers }: IncomingMessage): boolean {
  if (headers['transfer-encoding'] !== undefined) return true
  const length = Number(headers['content-length'] ?? 0)
  return length > 0 && length <= FORM_LIMIT_BYTES
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
