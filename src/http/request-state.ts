import type { FastifyReply, FastifyRequest } from 'fastify'
import { requestLogger } from './request-logger.ts'

/**
 * Sets the initial state of a request, which plugins declare, and its logger. Fastify's `decorateRequest()` would set the
 * values in a loop over their names, which takes twenty times as long.
 */
export function initializeRequest(request: FastifyRequest, reply: FastifyReply): void {
  request.log = requestLogger(request.server.log, request.id)
  reply.log = request.log
  request.startedAt = 0
  request.isResponding = false
  request.isEnded = false
  request.isTimedOut = false
  request.ongoing = null
  request.awaitsBody = false
  request.isApi = false
  request.isPanel = false
  request.isStateful = false
  request.notStatefulBecause = null
  request.csrfHint = null
  request.identity = null
  request.authenticationOutcome = null
  request.identifiedAt = 0
  request.isReidentified = false
  request.session = null
  request.sessionFailure = null
  request.sessionReadAt = 0
  request.hasNewSession = false
  request.replacesSession = false
  request.deviceCookie = null
  request.linkCookie = null
  request.remainingAttempts = null
  request.releaseWriteSlot = null
  request.formSubmission = null
  request.mayHaveChanged = false
}
