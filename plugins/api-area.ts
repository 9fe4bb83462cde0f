import fp from 'fastify-plugin'
import { SYSTEM_PATHS } from '../src/config.ts'
import { pathOf } from '../src/http.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Whether a request belongs to the API: one of its routes, or an unknown path under API_PATH. */
    isApiRequest(request: FastifyRequest): boolean
    /** What all routes of an encapsulated part of the server are: its key in their config. */
    area?: 'isApi' | 'isWeb'
  }
  interface FastifyContextConfig {
    /** Whether the route belongs to the API. */
    isApi?: boolean
    /** Whether the route is for browsers alone: it has a session, whatever page the request comes from. */
    isWeb?: boolean
  }
}

/** Marks the routes of the API and those for browsers, and adds `app.isApiRequest()`, which knows unknown paths as well. */
export default fp(
  async app => {
    const { apiPath, authPath } = app.config
    const others = apiPath === '' ? [...SYSTEM_PATHS, ...(authPath === '' ? [] : [authPath])] : []

    app.addHook('onRoute', function (route) {
      if (this.area !== undefined) route.config = { ...route.config, [this.area]: true }
    })

    app.decorate('isApiRequest', request => {
      if (!request.is404) return request.routeOptions.config.isApi === true
      const path = pathOf(request.url)
      return isUnder(path, apiPath) && !others.some(other => isUnder(path, other))
    })
  },
  { name: 'api-area', dependencies: ['errors'] },
)

const isUnder = (path: string, prefix: string) => path === prefix || path.startsWith(`${prefix}/`)
