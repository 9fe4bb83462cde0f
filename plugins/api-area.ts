import fp from 'fastify-plugin'
import { PANEL_PATH, SYSTEM_PATHS } from '#src/config/config.ts'
import { pathOf } from '#src/http/http.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** What all routes of an encapsulated part of the server are: its key in their config. */
    area?: 'isApi' | 'isWeb' | 'isPanel'
  }
  interface FastifyRequest {
    /** What the route says of itself. Fastify makes it anew each time that it is asked. */
    routeConfig: FastifyContextConfig & { url?: string }
    /** Whether the request belongs to the API: to one of its routes, or to an unknown path under API_PATH. */
    isApi: boolean
    /** Whether the request belongs to the panel, unknown paths included. */
    isPanel: boolean
  }
  interface FastifyContextConfig {
    /** Whether the route belongs to the API. */
    isApi?: boolean
    /** Whether the route is for browsers alone: it has a session, whatever page the request comes from. */
    isWeb?: boolean
    /** Whether the route is a page of the panel, or a form's: it is for browsers alone as well. */
    isPanel?: boolean
  }
}

/** Marks the routes of the API and those for browsers, and the requests to the API, unknown paths included. */
export default fp(
  async app => {
    const { apiPath, authPath } = app.config
    const others = apiPath === '' ? [...SYSTEM_PATHS, ...(authPath === '' ? [] : [authPath])] : []
    const isApiPath = (path: string) => isUnder(path, apiPath) && !others.some(other => isUnder(path, other))

    app.addHook('onRoute', function (route) {
      if (this.area === undefined) return
      const isWeb = this.area !== 'isApi'
      route.config = { ...route.config, [this.area]: true, ...(isWeb && { isWeb }) }
    })

    app.decorateRequest('routeConfig')
    app.decorateRequest('isApi', false)
    app.decorateRequest('isPanel', false)
    app.addHook('onRequest', (request, _reply, done) => {
      const { config } = request.routeOptions
      request.routeConfig = config
      if (request.is404) {
        const path = pathOf(request.url)
        request.isApi = isApiPath(path)
        request.isPanel = isUnder(path, PANEL_PATH)
      } else {
        request.isApi = config.isApi === true
        request.isPanel = config.isPanel === true
      }
      done()
    })
  },
  { name: 'api-area', dependencies: ['errors'] },
)

const isUnder = (path: string, prefix: string) => path === prefix || path.startsWith(`${prefix}/`)
