import type { FastifyRequest } from 'fastify'
import { isSafe } from '#src/auth/safe-methods.ts'
import type { Session } from '#src/auth/session.ts'
import type { Config } from '#src/config/config.ts'
import { csrfMismatch, forbidden } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { RouteTraits, Step } from '../step.ts'

/** Sessions are for the website's routes and, on first-party pages, for the API's. */
const mayChangeInSession = (route: RouteTraits | null): boolean =>
  route?.isUnsafe === true && (route.config.isWeb === true || route.config.isApi === true)

/**
 * Refuses changes in the name of a session that no page of ours can be shown to have asked for. The proof is the
 * browser's word that the page is of this very origin (Fetch Metadata, `Sec-Fetch-Site`), or the session's token:
 * in `X-CSRF-TOKEN` or `X-XSRF-TOKEN`, and without those headers in the body's `_token`. For that one the guards wait.
 */
export const csrfStep = ({ csrfMode }: Pick<Config, 'csrfMode'>): Step => ({
  appliesTo: mayChangeInSession,
  run(request) {
    const { method, headers, session } = request
    if (!request.isStateful || request.is404 || isSafe(method)) return
    if (headers['sec-fetch-site'] === 'same-origin') return
    if (csrfMode === 'origin-only') throw forbidden(MESSAGES.originMismatch)
    const token = headers['x-csrf-token'] || headers['x-xsrf-token']
    if (!token && session !== null && hasBody(request)) request.awaitsBody = true
    else verify(session, token)
  },
})

/** Looks for the token in the body of a request whose guards wait for that. */
export const bodyTokenStep: Step = {
  appliesTo: mayChangeInSession,
  run({ awaitsBody, session, body }) {
    if (awaitsBody) verify(session, (body as { _token?: unknown } | undefined)?._token)
  },
}

function verify(session: Session | null, token: unknown) {
  if (session === null || typeof token !== 'string' || !session.id.accepts(token)) throw csrfMismatch()
}

const hasBody = ({ headers }: FastifyRequest) =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
