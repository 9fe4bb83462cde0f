import {
  COMMON_HEADERS,
  type DocumentedHeader,
  errorResponse,
  header,
  LIMIT_HEADERS,
  REFUSAL_HEADERS,
} from '#src/api/responses.ts'
import { schemaReference } from '#src/query/openapi.ts'
import { MESSAGES, VERIFICATION_LINK_SENT } from '#src/responses/messages.ts'

/** Describes an error of any route. Only routes with a rate limit send its headers. */
const error = (description: string, example: string, headers: Record<string, object> = {}) =>
  errorResponse(description, example, { ...LIMIT_HEADERS, ...headers })

const SUCCESS_HEADERS = { ...COMMON_HEADERS, ...LIMIT_HEADERS }

const success = (description: string, schema: object, example?: unknown) => ({
  ...schema,
  description,
  headers: SUCCESS_HEADERS,
  ...(example !== undefined && { examples: [example] }),
})

const optionalHeaders = (
  headers: Readonly<Record<string, DocumentedHeader>>,
): Record<string, DocumentedHeader> =>
  Object.fromEntries(
    Object.entries(headers).map(([name, { type, description }]) => [name, { type, description }]),
  )

/** The responses that routes share, by name. */
export const SHARED_RESPONSES = {
  Message: success('The request was carried out, as the message says.', schemaReference('Message'), {
    message: MESSAGES.notificationRead,
  }),
  EmptyText: success('The request was carried out. The body is an empty JSON string.', { const: '' }, ''),
  NoContent: success('The request was carried out.', { type: 'null' }),
  TokensRevoked: {
    ...success('The tokens were revoked.', { type: 'null' }),
    headers: {
      ...SUCCESS_HEADERS,
      'X-Revoked-Tokens': header('How many tokens ended, including those that they had issued.', 'integer'),
    },
  },
  GuestMessage: success(
    'The request was carried out, as the message says; or a user is logged in already, and nothing was done.',
    { anyOf: [schemaReference('Status'), schemaReference('AlreadyAuthenticated')] },
    { message: MESSAGES.resetLinkSent, status: MESSAGES.resetLinkSent },
  ),
  Status: success('The mail was sent.', schemaReference('Status'), {
    message: MESSAGES.verificationLinkSent,
    status: VERIFICATION_LINK_SENT,
  }),
  AlreadyAuthenticated: success(
    'A user is logged in already, and nothing was done.',
    schemaReference('AlreadyAuthenticated'),
    { error: MESSAGES.alreadyAuthenticated },
  ),
  OtherError: {
    ...schemaReference('ApiError'),
    description:
      'The request is malformed or names an unknown host (400), took too long to arrive (408), or its body (413), path (414) or head (431) is too large, or its body is neither JSON nor a form (415). Or the server is too busy or the database is not available (503), or there is an internal error, of which the log has details under the request id (500).',
    // Some are sent before the request has an id.
    headers: { ...optionalHeaders(SUCCESS_HEADERS), 'Retry-After': REFUSAL_HEADERS['Retry-After'] },
    examples: [{ message: MESSAGES.serviceUnavailable }],
  },
  Unauthenticated: error(
    'The caller is not authenticated: the token or the session is missing, wrong, expired or revoked.',
    MESSAGES.unauthenticated,
    { 'WWW-Authenticate': header('`Bearer` (RFC 6750)') },
  ),
  Forbidden: error(
    'The caller may not do this: the user lacks a permission or a required second factor, or is banned, or the token lacks an ability. Under `CSRF_MODE=origin-only`, also when the browser does not state that a page of this origin sent the request.',
    MESSAGES.unauthorized,
  ),
  NotFound: error('There is no such row, or none that the caller may know of.', MESSAGES.notFound),
  CsrfTokenMismatch: error(
    "The request has a session, but neither the session's CSRF token nor a browser's statement that a page of this origin sent it.",
    MESSAGES.csrfMismatch,
  ),
  InvalidInput: {
    ...schemaReference('ValidationError'),
    description: 'A parameter or a field is not valid.',
    headers: { ...COMMON_HEADERS, ...LIMIT_HEADERS },
    examples: [
      {
        message: 'The page.size must not be greater than 100.',
        errors: { 'page.size': ['The page.size must not be greater than 100.'] },
      },
    ],
  },
  PasswordConfirmationRequired: error(
    'The password was not confirmed within the last three hours.',
    MESSAGES.passwordConfirmationRequired,
  ),
  TooManyRequests: error(
    'Too many requests, or too many wrong credentials.',
    MESSAGES.tooManyAttempts,
    REFUSAL_HEADERS,
  ),
} as const

/** The schemas that {@link SHARED_RESPONSES} and the responses of routes refer to, by name. */
export const SHARED_SCHEMAS: Readonly<Record<string, object>> = {
  ApiError: {
    type: 'object',
    description: 'Why a request was refused.',
    required: ['message'],
    properties: { message: { type: 'string' } },
  },
  ValidationError: {
    type: 'object',
    description: 'Why the input was refused: the first error, and all errors by dotted name.',
    required: ['message', 'errors'],
    properties: {
      message: { type: 'string' },
      errors: { type: 'object', additionalProperties: { type: 'array', items: { type: 'string' } } },
    },
  },
  Message: {
    type: 'object',
    description: 'What was done.',
    required: ['message'],
    properties: { message: { type: 'string' } },
  },
  Status: {
    type: 'object',
    required: ['message', 'status'],
    properties: { message: { type: 'string' }, status: { type: 'string' } },
  },
  AlreadyAuthenticated: {
    type: 'object',
    description: 'The response of routes for guests to a user who is logged in.',
    required: ['error'],
    properties: { error: { type: 'string' } },
  },
}
