import type { FastifyRequest } from 'fastify'
import type { Sessions } from '#src/accounts/sessions.ts'
import { isSafe } from '#src/auth/safe-methods.ts'
import type { RouteTraits, Step } from '#src/http/step.ts'
import { forbidden } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { PAGE_HEADERS } from './page-headers.ts'

const REFRESH_PAGE = '<!doctype html><title>One moment</title><meta http-equiv="refresh" content="0">'

const mayBePanel = (route: RouteTraits | null) => route === null || route.config.isPanel === true

/**
 * Reloads a page that was opened from another site. With SESSION_SAME_SITE=strict the browser withholds cookies from
 * such requests; it sends them with the reload, which is a same-site request.
 */
export const withheldCookieStep = (sessions: Sessions): Step => ({
  appliesTo: mayBePanel,
  run(request, reply) {
    if (!request.isPanel || !isSafe(request.method) || !sessions.isCookieWithheld(request)) return
    reply.headers(PAGE_HEADERS).send(REFRESH_PAGE)
    return 'responded'
  },
})

/**
 * Refuses forms from other origins, first parties included (403). A first party may use the API for its user, but must
 * not act in the panel: a vulnerability of its pages must not give control over staff accounts.
 *
 * @param ownHost the host of APP_URL
 */
export const sameOriginStep = (ownHost: string): Step => ({
  appliesTo: route => route?.config.isPanel === true && route.isUnsafe,
  run(request) {
    if (!isSafe(request.method) && !isSameOrigin(request, ownHost)) throw forbidden(MESSAGES.originMismatch)
  },
})

/** Whether a request is from the panel's own origin, by `Sec-Fetch-Site`, or else by `Origin`. */
function isSameOrigin({ headers, host }: FastifyRequest, ownHost: string): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  const { origin } = headers
  if (origin === undefined) return true
  const { host: from } = URL.canParse(origin) ? new URL(origin) : { host: null }
  return from === host || from === ownHost
}

/** Adds the path of APP_URL to redirects, which name paths of this server. */
export const locationStep = (basePath: string): Step => ({
  appliesTo: route => basePath !== '' && mayBePanel(route),
  run(request, reply) {
    const location = reply.getHeader('location')
    if (request.isPanel && typeof location === 'string' && location.startsWith('/')) {
      reply.header('location', basePath + location)
    }
  },
})

/** Removes CORS headers from the panel's responses: no other origin may read them, first parties included. */
export const noCorsStep: Step = {
  appliesTo: mayBePanel,
  run(request, reply) {
    if (!request.isPanel) return
    reply.removeHeader('access-control-allow-origin')
    reply.removeHeader('access-control-allow-credentials')
  },
}
