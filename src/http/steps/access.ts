import type { FastifyReply, FastifyRequest, HTTPMethods } from 'fastify'
import { methodNotAllowed, routeNotFound } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { type AccessGuard, rowPhase } from '../access.ts'
import { pathOf } from '../request.ts'
import type { Phase, Step } from '../step.ts'

/**
 * Refuses with 401, 403 or 423 whom a route does not let, with 404 and 405 what no route takes, and answers those who have
 * logged in where a route is for those who have not.
 *
 * @param methodsOf which methods a path has
 */
export const guardStep = (guard: AccessGuard, methodsOf: (path: string) => HTTPMethods[]): Step => ({
  run(request, reply) {
    const isAnswered = request.is404
      ? answerUnknown(request, reply, methodsOf(pathOf(request.url)))
      : answerGuest(request, reply)
    if (isAnswered !== undefined) return 'answered'
    guard.requireAccess(request)
    return undefined
  },
})

/** What the caller could do when the body was begun may be no longer so. */
export const guardAgainStep = (guard: AccessGuard): Step => ({
  appliesTo: route => route !== null,
  run(request) {
    if (request.isIdentifiedAgain) guard.requireAccess(request)
  },
})

/** Loads and judges the row that a path names, on routes that have it done in a phase. */
export const rowStep = (guard: AccessGuard, phase: Phase): Step => ({
  appliesTo: route => rowPhase(route?.config.access) === phase,
  run: request => guard.requireRow(request),
})

/** Says that there is nothing, or something by other methods alone. */
function answerUnknown(request: FastifyRequest, reply: FastifyReply, allowed: readonly HTTPMethods[]) {
  const path = pathOf(request.url)
  if (allowed.length === 0) throw routeNotFound(path)
  if (request.method !== 'OPTIONS') throw methodNotAllowed(request.method, path, allowed)
  return reply.header('allow', allowed.join(', ')).send()
}

const answerGuest = ({ routeConfig, identity }: FastifyRequest, reply: FastifyReply) =>
  routeConfig.access?.auth === 'guest' && identity !== null
    ? reply.send({ error: MESSAGES.alreadyAuthenticated })
    : undefined
