import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { csrfMismatch, forbidden } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import type { Session } from '#src/auth/session.ts'
import { isSafe } from '#src/http/http.ts'

/** A step on a request's way that may refuse it: by what it throws, or by an answer, which it then returns. */
type Guard = (request: FastifyRequest, reply: FastifyReply) => FastifyReply | Promise<void> | void

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Adds a step that comes after the CSRF check: with the head of the request, or with its body when the check
     * had to wait for that.
     */
    addGuard(guard: Guard): void
  }
  interface FastifyRequest {
    /** Whether the guards wait for the body, since the CSRF token can only be there. */
    awaitsBody: boolean
  }
}

/**
 * Refuses changes in the name of a session that no page of ours can be shown to have asked for. The proof is the
 * browser's word that the page is of this very origin (Fetch Metadata, `Sec-Fetch-Site`), or the session's token:
 * in `X-CSRF-TOKEN` or `X-XSRF-TOKEN`, and without those headers in the body's `_token`.
 */
export default fp(
  async app => {
    const isOriginOnly = app.config.csrfMode === 'origin-only'
    app.decorateRequest('awaitsBody', false)
    app.decorate('addGuard', (guard: Guard) => {
      app.addHook('onRequest', (request, reply, done) => {
        if (request.awaitsBody) done()
        else pass(guard, request, reply, done)
      })
      app.addHook('preValidation', (request, reply, done) => {
        if (request.awaitsBody) pass(guard, request, reply, done)
        else done()
      })
    })

    app.addHook('onRequest', (request, reply, done) => {
      pass(check, request, reply, done)
    })
    const check: Guard = request => {
      const { method, headers, session } = request
      if (!request.isStateful || request.is404 || isSafe(method)) return
      if (headers['sec-fetch-site'] === 'same-origin') return
      if (isOriginOnly) throw forbidden(MESSAGES.originMismatch)
      const token = headers['x-csrf-token'] || headers['x-xsrf-token']
      if (!token && session !== null && hasBody(request)) request.awaitsBody = true
      else verify(session, token)
    }

    app.addHook('preValidation', (request, reply, done) => {
      if (request.awaitsBody) pass(checkBody, request, reply, done)
      else done()
    })
    const checkBody: Guard = ({ session, body }) => {
      verify(session, (body as { _token?: unknown } | undefined)?._token)
    }
  },
  { name: 'csrf', dependencies: ['body', 'identify', 'rate-limit'] },
)

/** Runs a step, and goes on unless it answers. What is done at once takes no promise. */
function pass(
  guard: Guard,
  request: FastifyRequest,
  reply: FastifyReply,
  done: (error?: Error) => void,
): void {
  try {
    const pending = guard(request, reply)
    if (pending === undefined) done()
    else if (pending !== reply) pending.then(() => done(), done)
  } catch (error) {
    done(error as Error)
  }
}

function verify(session: Session | null, token: unknown) {
  if (session === null || typeof token !== 'string' || !session.id.accepts(token)) throw csrfMismatch()
}

const hasBody = ({ headers }: FastifyRequest) =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
