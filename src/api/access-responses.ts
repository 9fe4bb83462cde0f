import { type TSchema, Type } from 'typebox'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Bytes } from '#src/runtime/units.ts'
import { COMMON_HEADERS, errorResponse, header, LIMIT_HEADERS, unavailableResponse } from './responses.ts'

const REFUSED_HEADERS = {
  'X-RateLimit-Limit': header('Requests allowed in a minute.', 'integer'),
  'X-RateLimit-Remaining': header('0', 'integer'),
  'X-RateLimit-Reset': header('Unix time in seconds when the next request is allowed.', 'integer'),
  'Retry-After': header('Seconds until the next request is allowed.', 'integer'),
}

/** The OpenAPI response to invalid input. */
const INVALID_INPUT = Type.Object(
  { message: Type.String(), errors: Type.Record(Type.String(), Type.Array(Type.String())) },
  {
    description: 'A parameter or a field is not valid. Errors are listed by dotted name.',
    headers: { ...COMMON_HEADERS, ...LIMIT_HEADERS },
    examples: [
      {
        message: 'The page.size must not be greater than 100.',
        errors: { 'page.size': ['The page.size must not be greater than 100.'] },
      },
    ],
  },
)

/** The properties of a route that determine its error responses. */
interface Route {
  access: {
    auth: 'required' | 'optional' | 'guest' | 'none'
    via?: 'session' | 'token'
    permission?: string | readonly string[]
    ability?: string
    password?: 'confirmed' | 'confirmed or entered'
    whileBanned?: true
    beforeSecondFactor?: true
  }
  /** Whether the route belongs to the API. */
  isApi: boolean
  /** Whether the route is for browsers only. */
  isWeb: boolean
  /** Whether the method changes state. */
  isWrite: boolean
  /** Whether the route takes parameters or a body. */
  hasInput: boolean
  /** Whether the route takes a body. */
  hasBody: boolean
  /** The largest body that the route accepts. */
  bodyLimit: Bytes
  /** Whether requests count towards limits, as all do except health checks. */
  isRateLimited: boolean
  /** How changes in a session are protected against CSRF. */
  csrfMode: 'token' | 'origin-only'
}

type Responses = Record<number, TSchema>

const hasLimitHeaders = ({ isApi, isWeb }: Route): boolean => isApi || isWeb

/** The rate limit headers, on routes that have them. */
const limitHeaders = (route: Route) => (hasLimitHeaders(route) ? LIMIT_HEADERS : {})

/** The CSRF protection of changes in a session; null where none is required. */
const csrfProof = (route: Route): Route['csrfMode'] | null =>
  route.isWrite && hasLimitHeaders(route) && route.access.via !== 'token' ? route.csrfMode : null

/** 401 */
const unauthenticated = (route: Route): Responses =>
  route.access.auth !== 'required'
    ? {}
    : {
        401: errorResponse(
          'The caller is not authenticated: the token or the session is missing, wrong, expired or revoked.',
          MESSAGES.unauthenticated,
          { ...limitHeaders(route), 'WWW-Authenticate': header('`Bearer` (RFC 6750)') },
        ),
      }

/** The reasons for which a route responds 403, in the order of the checks. */
function refusalsOf(route: Route): string[] {
  const { auth, whileBanned, beforeSecondFactor, permission, ability } = route.access
  const knowsCaller = auth === 'required' || auth === 'optional'
  return [
    ...(csrfProof(route) === 'origin-only'
      ? ['The request has a session, and the browser does not state that a page of this origin sent it.']
      : []),
    ...(!knowsCaller || whileBanned ? [] : ['The user is banned from everything.']),
    ...(!knowsCaller || beforeSecondFactor
      ? []
      : ['REQUIRE_SECOND_FACTOR requires a second factor, which the user has not set up.']),
    ...(permission === undefined
      ? []
      : [`The caller lacks the permission \`${permission}\`, or is banned from using it.`]),
    ...(ability === undefined ? [] : [`The token lacks the ability \`${ability}\`.`]),
  ]
}

function refusalExample(route: Route): string {
  if (route.access.permission !== undefined) return MESSAGES.unauthorized
  if (route.access.ability !== undefined) return MESSAGES.invalidAbility
  if (csrfProof(route) === 'origin-only') return MESSAGES.originMismatch
  return MESSAGES.banned({ reason: 'spam', until: Date.UTC(2026, 11, 31) })
}

/** 403 */
function refused(route: Route): Responses {
  const refusals = refusalsOf(route)
  if (refusals.length === 0) return {}
  return { 403: errorResponse(refusals.join(' '), refusalExample(route), limitHeaders(route)) }
}

/** 419 and 423 */
function csrfAndPassword(route: Route): Responses {
  const responses: Responses = {}
  if (csrfProof(route) === 'token') {
    responses[419] = errorResponse(
      "The request has a session, but neither the session's CSRF token nor a browser's statement that a page of this origin sent it.",
      MESSAGES.csrfMismatch,
      limitHeaders(route),
    )
  }
  if (route.access.password !== undefined) {
    responses[423] = errorResponse(
      'The password was not confirmed within the last three hours.',
      MESSAGES.passwordConfirmationRequired,
      limitHeaders(route),
    )
  }
  return responses
}

/** 413, 415 and 422 */
function unacceptable(route: Route): Responses {
  const responses: Responses = {}
  if (route.hasBody) {
    const limits = limitHeaders(route)
    responses[413] = errorResponse('The body is too large.', MESSAGES.bodyTooLarge(route.bodyLimit), limits)
    responses[415] = errorResponse(
      'The body is neither JSON nor a form.',
      MESSAGES.unsupportedMediaType('image/png'),
      limits,
    )
  }
  if (route.hasInput) responses[422] = INVALID_INPUT
  return responses
}

/** 429 and 503 */
function overloaded(route: Route): Responses {
  const responses: Responses = {}
  if (route.isRateLimited) {
    responses[429] = errorResponse(
      'Too many requests, or too many wrong credentials.',
      MESSAGES.tooManyAttempts,
      REFUSED_HEADERS,
    )
  }
  if (hasLimitHeaders(route) || route.access.auth !== 'none') {
    responses[503] = unavailableResponse('The database is not available at the moment.')
  }
  return responses
}

/**
 * The error responses that follow from a route's access. OpenAPI has one response per status, so reasons share a
 * description.
 */
export const accessResponses = (route: Route): Responses => ({
  400: errorResponse('The request is malformed, or names an unknown host.', MESSAGES.badRequest),
  500: errorResponse('An internal error. The log has details under the request id.', MESSAGES.serverError),
  ...unauthenticated(route),
  ...refused(route),
  ...csrfAndPassword(route),
  ...unacceptable(route),
  ...overloaded(route),
})
