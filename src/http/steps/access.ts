import type { FastifyReply, FastifyRequest, HTTPMethods } from 'fastify'
import { methodNotAllowed, routeNotFound } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { type AccessGuard, rowPhase } from '../access.ts'
import { pathOf } from '../request.ts'
import type { Phase, Step } from '../step.ts'

/**
 * Refuses callers that the route's access excludes (401, 403, 423) and requests without a route (404, 405). Responds
 * itself to authenticated callers of guest routes.
 *
 * @param methodsOf returns the methods of a path
 */
export const guardStep = (guard: AccessGuard, methodsOf: (path: string) => HTTPMethods[]): Step => ({
  run(request, reply) {
    const isAnswered = request.is404
      ? respondToUnknownRoute(request, reply, methodsOf(pathOf(request.url)))
      : respondToLoggedIn(request, reply)
    if (isAnswered !== undefined) return 'responded'
    guard.requireAccess(request)
    return undefined
  },
})

/** Checks access again after late authentication: it may have been revoked while the body arrived. */
export const recheckAccessStep = (guard: AccessGuard): Step => ({
  appliesTo: route => route !== null,
  run(request) {
    if (request.isReidentified) guard.requireAccess(request)
  },
})

/** Loads and authorizes the row that a path names, on routes that do so in the given phase. */
export const loadRowStep = (guard: AccessGuard, phase: Phase): Step => ({
  appliesTo: route => rowPhase(route?.config.access) === phase,
  run: request => guard.requireRow(request),
})

/** Throws 404 or 405, or responds to `OPTIONS` with the allowed methods. */
function respondToUnknownRoute(
  request: FastifyRequest,
  reply: FastifyReply,
  allowed: readonly HTTPMethods[],
) {
  const path = pathOf(request.url)
  if (allowed.length === 0) throw routeNotFound(path)
  if (request.method !== 'OPTIONS') throw methodNotAllowed(request.method, path, allowed)
  return reply.header('allow', allowed.join(', ')).send()
}

const respondToLoggedIn = ({ routeConfig, identity }: FastifyRequest, reply: FastifyReply) =>
  routeConfig.access?.auth === 'guest' && identity !== null
    ? reply.send({ error: MESSAGES.alreadyAuthenticated })
    : undefined
