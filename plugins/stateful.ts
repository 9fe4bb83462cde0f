import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whether the request has a session: one of ours in a browser, or a route that is for browsers alone. */
    isStateful: boolean
    /** Why a request to the API is not stateful, for the log; null when it is, and where nobody asked. */
    notStatefulBecause: string | null
  }
}

/**
 * Decides which requests have a session. For the API those are the ones that come from a page of ours: to all
 * others its cookies mean nothing, and tokens alone count.
 */
export default fp(
  async app => {
    app.decorateRequest('isStateful', false)
    app.decorateRequest('notStatefulBecause', null)

    app.addHook('onRequest', (request, _reply, done) => {
      const { isWeb = false, access } = request.routeConfig
      if (isWeb) {
        request.isStateful = true
      } else if (request.isApi && access?.via !== 'token') {
        const verdict = app.firstParty.judge(sourceOf(request))
        request.isStateful = verdict.isFirstParty
        if (!verdict.isFirstParty) request.notStatefulBecause = verdict.reason
      }
      done()
    })
  },
  { name: 'stateful', dependencies: ['api-area', 'cors', 'preflight'] },
)

const sourceOf = ({ headers, raw, host }: FastifyRequest) => ({
  referers: headers.referer === undefined ? [] : valuesOf(raw.rawHeaders, 'referer'),
  origin: headers.origin,
  host: (host ?? '').toLowerCase(),
  fetchSite: headers['sec-fetch-site'] as string | undefined,
})

/** All values of a header, of which Node itself keeps only the first. */
function valuesOf(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = []
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const found = rawHeaders[index] as string
    if (found.length === name.length && found.toLowerCase() === name)
      values.push(rawHeaders[index + 1] as string)
  }
  return values
}
