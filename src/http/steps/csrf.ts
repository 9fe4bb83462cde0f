import type { FastifyRequest } from 'fastify'
import { isSafe } from '#src/auth/safe-methods.ts'
import type { Config } from '#src/config/config.ts'
import { csrfMismatch, forbidden } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { RouteTraits, Step } from '../step.ts'

/** Whether a route may change something in the name of a session. */
const mayChangeInSession = (route: RouteTraits | null): boolean =>
  route?.isUnsafe === true && (route.config.isWeb === true || route.config.isApi === true)

/**
 * CSRF protection of unsafe requests with a session. Accepts `Sec-Fetch-Site: same-origin` (Fetch Metadata), or the
 * session's CSRF token in `X-CSRF-TOKEN` or `X-XSRF-TOKEN`, or without those headers in the body's `_token`. In the last
 * case the guards run after the body is read.
 */
export const csrfStep = ({ csrfMode, appEnv }: Pick<Config, 'csrfMode' | 'appEnv'>): Step => ({
  appliesTo: mayChangeInSession,
  run(request) {
    const { method, headers, session } = request
    if (!request.isStateful || request.is404 || isSafe(method)) return
    if (headers['sec-fetch-site'] === 'same-origin') return
    if (/^bearer /i.test(headers.authorization ?? '')) request.csrfHint = MESSAGES.bearerOnFirstParty
    if (csrfMode === 'origin-only') throw forbidden(MESSAGES.originMismatch)
    const token = headers['x-csrf-token'] || headers['x-xsrf-token']
    if (!token && session !== null && hasBody(request)) request.awaitsBody = true
    else verifyToken(request, token, appEnv)
  },
})

/** Verifies the token in the body of requests without a token header. */
export const bodyTokenStep = ({ appEnv }: Pick<Config, 'appEnv'>): Step => ({
  appliesTo: mayChangeInSession,
  run(request) {
    const { awaitsBody, body } = request
    if (awaitsBody) verifyToken(request, (body as { _token?: unknown } | undefined)?._token, appEnv)
  },
})

/** Throws 419 for a wrong token, with advice for developers on their own machine. The log has it in production too. */
function verifyToken({ session, csrfHint }: FastifyRequest, token: unknown, appEnv: Config['appEnv']) {
  if (session === null || typeof token !== 'string' || !session.id.accepts(token)) {
    throw csrfMismatch(appEnv === 'local' ? (csrfHint ?? undefined) : undefined)
  }
}

const hasBody = ({ headers }: FastifyRequest) =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
