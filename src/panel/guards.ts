import type { FastifyRequest } from 'fastify'
import type { Sessions } from '#src/accounts/sessions.ts'
import { isSafe } from '#src/auth/safe-methods.ts'
import type { RouteTraits, Step } from '#src/http/step.ts'
import { forbidden } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { PAGE_HEADERS } from './page-headers.ts'

const ASK_AGAIN = '<!doctype html><title>One moment</title><meta http-equiv="refresh" content="0">'

const mayBePanel = (route: RouteTraits | null) => route === null || route.config.isPanel === true

/**
 * Has the browser ask once more for a page whose cookies it kept to itself, since the way here began on another site
 * (SESSION_SAME_SITE=strict): the page is its own origin then, and the cookies come along.
 */
export const withheldCookieStep = (sessions: Sessions): Step => ({
  appliesTo: mayBePanel,
  run(request, reply) {
    if (!request.isPanel || !isSafe(request.method) || !sessions.isWithheld(request)) return
    reply.headers(PAGE_HEADERS).send(ASK_AGAIN)
    return 'answered'
  },
})

/**
 * Refuses forms of the panel that come from a page of another origin, first parties included (403). A page of ours
 * elsewhere may use the API in its user's name, and that is all: what runs there gets no hold of those who run the place.
 *
 * @param ownHost the host of APP_URL
 */
export const ownPageStep = (ownHost: string): Step => ({
  appliesTo: route => route?.config.isPanel === true && route.isUnsafe,
  run(request) {
    if (!isSafe(request.method) && !isOwnPage(request, ownHost)) throw forbidden(MESSAGES.originMismatch)
  },
})

/** Whether a change was asked for by a page of this very origin, as far as the browser tells. */
function isOwnPage({ headers, host }: FastifyRequest, ownHost: string): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  const { origin } = headers
  if (origin === undefined) return true
  const { host: from } = URL.canParse(origin) ? new URL(origin) : { host: null }
  return from === host || from === ownHost
}

/** Keeps the panel's answers from pages of other origins, first parties included. */
export const noCorsStep: Step = {
  appliesTo: mayBePanel,
  run(request, reply) {
    if (!request.isPanel) return
    reply.removeHeader('access-control-allow-origin')
    reply.removeHeader('access-control-allow-credentials')
  },
}
