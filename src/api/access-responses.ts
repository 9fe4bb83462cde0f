import { type TSchema, Type } from 'typebox'
import { MESSAGES } from '#src/responses/messages.ts'
import { COMMON_HEADERS, failure, header, LIMIT_HEADERS, unavailable } from './responses.ts'

const REFUSED_HEADERS = {
  'X-RateLimit-Limit': header('Requests allowed in a minute.', 'integer'),
  'X-RateLimit-Remaining': header('0', 'integer'),
  'X-RateLimit-Reset': header('Unix time in seconds when the next request is allowed.', 'integer'),
  'Retry-After': header('Seconds until the next request is allowed.', 'integer'),
}

/** The answer to input that is not valid, as the specification describes it. */
const INVALID = Type.Object(
  { message: Type.String(), errors: Type.Record(Type.String(), Type.Array(Type.String())) },
  {
    description: 'A parameter or a field is not valid. The errors stand under their dotted names.',
    headers: { ...COMMON_HEADERS, ...LIMIT_HEADERS },
    examples: [
      {
        message: 'The page.size must not be greater than 100.',
        errors: { 'page.size': ['The page.size must not be greater than 100.'] },
      },
    ],
  },
)

/** What the answers of a route depend on that follow from who may call it. */
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
  /** Whether the route is for browsers alone. */
  isWeb: boolean
  /** Whether the method is one that changes things. */
  changes: boolean
  /** Whether the route takes parameters or a body. */
  hasInput: boolean
  /** Whether the route takes a body. */
  hasBody: boolean
  /** The largest body that the route takes, in bytes. */
  bodyLimit: number
  /** Whether requests to the route count for their address, as all do save health checks. */
  isCounted: boolean
  /** How changes in the name of a session are proven to be wanted. */
  csrfMode: 'token' | 'origin-only'
}

type Responses = Record<number, TSchema>

const isLimited = ({ isApi, isWeb }: Route): boolean => isApi || isWeb

/** The headers of the rate limit, on routes that have one. */
const limitHeaders = (route: Route) => (isLimited(route) ? LIMIT_HEADERS : {})

/** The proof against CSRF that changes in the name of a session need here; null where none is asked for. */
const csrfProof = (route: Route): Route['csrfMode'] | null =>
  route.changes && isLimited(route) && route.access.via !== 'token' ? route.csrfMode : null

/** 401 */
const unauthenticated = (route: Route): Responses =>
  route.access.auth !== 'required'
    ? {}
    : {
        401: failure(
          'Nobody is known to be calling: the token or the session is missing, wrong, expired or revoked.',
          MESSAGES.unauthenticated,
          { ...limitHeaders(route), 'WWW-Authenticate': header('`Bearer` (RFC 6750)') },
        ),
      }

/** Why a route answers 403, in the order in which it is judged. */
function refusalsOf(route: Route): string[] {
  const { auth, whileBanned, beforeSecondFactor, permission, ability } = route.access
  const knowsCaller = auth === 'required' || auth === 'optional'
  return [
    ...(csrfProof(route) === 'origin-only'
      ? ['The request has a session, and the browser does not say that a page of this origin sent it.']
      : []),
    ...(!knowsCaller || whileBanned ? [] : ['The user is banned from everything.']),
    ...(!knowsCaller || beforeSecondFactor
      ? []
      : ['REQUIRE_SECOND_FACTOR asks for a second factor that the user has not set up.']),
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
  return { 403: failure(refusals.join(' '), refusalExample(route), limitHeaders(route)) }
}

/** 419 and 423 */
function unproven(route: Route): Responses {
  const responses: Responses = {}
  if (csrfProof(route) === 'token') {
    responses[419] = failure(
      "The request has a session, and neither the session's CSRF token nor the browser's word that a page of this origin sent it.",
      MESSAGES.csrfMismatch,
      limitHeaders(route),
    )
  }
  if (route.access.password !== undefined) {
    responses[423] = failure(
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
    responses[413] = failure('The body is too large.', MESSAGES.bodyTooLarge(route.bodyLimit), limits)
    responses[415] = failure(
      'The body is neither JSON nor a form.',
      MESSAGES.unsupportedMediaType('image/png'),
      limits,
    )
  }
  if (route.hasInput) responses[422] = INVALID
  return responses
}

/** 429 and 503 */
function overloaded(route: Route): Responses {
  const responses: Responses = {}
  if (route.isCounted) {
    responses[429] = failure(
      'Too many requests, or too many wrong credentials.',
      MESSAGES.tooManyAttempts,
      REFUSED_HEADERS,
    )
  }
  if (isLimited(route) || route.access.auth !== 'none') {
    responses[503] = unavailable('The database is not available for the moment.')
  }
  return responses
}

/** The answers that follow from who may call a route: the specification cannot tell others than are given. */
export const accessResponses = (route: Route): Responses => ({
  400: failure('The request cannot be understood, or names a host that is not ours.', MESSAGES.badRequest),
  500: failure(
    'Something went wrong inside. The log has more, under the id of the request.',
    MESSAGES.serverError,
  ),
  ...unauthenticated(route),
  ...refused(route),
  ...unproven(route),
  ...unacceptable(route),
  ...overloaded(route),
})
