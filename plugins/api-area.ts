import fp from 'fastify-plugin'
import { SYSTEM_PATHS } from '../src/config.ts'
import { pathOf } from '../src/http.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Whether a request belongs to the API: one of its routes, or an unknown path under API_PATH. */
    isApiRequest(request: FastifyRequest): boolean
  }
  interface FastifyContextConfig {
    /** Whether the route belongs to the API. */
    isApi?: boolean
  }
}

/** Adds `app.isApiRequest()`, which says where the API's limits apply. */
export default fp(
  async app => {
    const { apiPath, authPath } = app.config
    const others = apiPath === '' ? [...SYSTEM_PATHS, ...(authPath === '' ? [] : [authPath])] : []

    app.decorate('isApiRequest', request => {
      if (!request.is404) return request.routeOptions.config.isApi === true
      const path = pathOf(request.url)
      return isUnder(path, apiPath) && !others.some(other => isUnder(path, other))
    })
  },
  { name: 'api-area', dependencies: ['errors'] },
)

const isUnder = (path: string, prefix: string) => path === prefix || path.startsWith(`${prefix}/`)
