import { hostname } from 'node:os'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '#src/config/config.ts'
import type { EpochMillis, Millis } from '#src/runtime/units.ts'
import { CLIENT_CLOSED_REQUEST, pathOf } from './request.ts'

/** Tolerance for the rounding error of the accumulated shares. */
const ROUNDING = 1e-6

/** pino's number of the level `info`. */
const INFO = 30

interface RequestLogOptions extends Pick<Config, 'appEnv' | 'logRequests'> {
  clock(): EpochMillis
  /** Whether LOG_LEVEL includes `info`. */
  isEnabled(): boolean
  /** Writes a line, which ends with a line feed. */
  write(line: string): void
}

/**
 * Creates the function that writes one log line per request: for all that failed, and for the share LOG_REQUESTS of the
 * others. Paths are logged without query string, since it may contain tokens.
 *
 * The lines are built here, as pino would, at a fraction of its time: their fields are fixed and contain no secrets, so
 * that they need neither redaction nor a child logger.
 */
export function createRequestLog({ appEnv, logRequests, clock, isEnabled, write }: RequestLogOptions) {
  const isLocal = appEnv === 'local'
  const start = `{"level":${INFO},"time":`
  const origin = `,"pid":${process.pid},"hostname":${JSON.stringify(hostname())},"reqId":`
  // Accumulates the share instead of sampling randomly: every n-th request is logged.
  let accumulated = 0
  const isDue = (status: number) => {
    // Client disconnects are not errors, and clients can cause any number of them.
    if (status >= 400 && status !== CLIENT_CLOSED_REQUEST) return true
    accumulated += logRequests
    if (accumulated < 1 - ROUNDING) return false
    accumulated -= 1
    return true
  }
  return (request: FastifyRequest, _reply: FastifyReply, status: number, ms: Millis): void => {
    if (!isDue(status) || !isEnabled()) return
    const { identity, authenticationOutcome, notStatefulBecause, csrfHint } = request
    // JSON.stringify() also escapes control characters and lone surrogates, which paths and addresses may contain.
    let line = `${start}${clock()}${origin}${JSON.stringify(request.id)},"method":${JSON.stringify(request.method)},"path":${JSON.stringify(pathOf(request.url))},"status":${status},"ms":${Math.round(ms * 10) / 10},"address":${JSON.stringify(request.clientAddress.ip)}`
    if (identity !== null) line += `,"userId":${identity.user.id}`
    if (authenticationOutcome !== null) line += `,"authentication":${JSON.stringify(authenticationOutcome)}`
    if (status === 419 && csrfHint !== null) line += `,"hint":${JSON.stringify(csrfHint)}`
    if (isLocal && notStatefulBecause !== null) {
      line += `,"notStatefulBecause":${JSON.stringify(notStatefulBecause)}`
    }
    write(`${line},"msg":"request"}\n`)
  }
}
