import type { FastifyRequest } from 'fastify'
import type { FirstParty } from '#src/auth/origin.ts'
import type { Step } from '../step.ts'

/**
 * Sets `request.isStateful`: whether the request may use a session. True for web routes, and for API requests from a first
 * party. All others are authenticated by tokens only, and their cookies are ignored.
 */
export const firstPartyStep = (firstParty: FirstParty): Step => ({
  appliesTo: route =>
    route === null ||
    (route.config.access?.via !== 'token' && (route.config.isWeb === true || route.config.isApi === true)),
  run(request) {
    if (request.routeConfig.isWeb === true) {
      request.isStateful = true
    } else if (request.isApi) {
      const verdict = firstParty.check(sourceOf(request))
      request.isStateful = verdict.isFirstParty
      if (!verdict.isFirstParty) request.notStatefulBecause = verdict.reason
    }
  },
})

const sourceOf = ({ headers, raw, host }: FastifyRequest) => ({
  referers: headers.referer === undefined ? [] : valuesOf(raw.rawHeaders, 'referer'),
  origin: headers.origin,
  host: (host ?? '').toLowerCase(),
  fetchSite: headers['sec-fetch-site'] as string | undefined,
})

/** Returns all values of a header; Node keeps only the first. */
function valuesOf(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = []
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const found = rawHeaders[index] as string
    if (found.length === name.length && found.toLowerCase() === name)
      values.push(rawHeaders[index + 1] as string)
  }
  return values
}
