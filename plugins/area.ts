import fp from 'fastify-plugin'
import { areaStep } from '#src/http/steps/area.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The area of all routes of an encapsulated context: the key that is set in their config. */
    area?: 'isApi' | 'isWeb' | 'isPanel'
  }

  interface FastifyRequest {
    /** Whether the request belongs to the API, unknown paths under API_PATH included. */
    isApi: boolean
    /** Whether the request belongs to the panel, unknown paths included. */
    isPanel: boolean
  }

  interface FastifyContextConfig {
    /** Whether the route belongs to the API. */
    isApi?: boolean
    /** Whether the route is for browsers: it has a session, regardless of the request's origin. */
    isWeb?: boolean
    /** Whether the route belongs to the panel. Implies {@link FastifyContextConfig.isWeb}. */
    isPanel?: boolean
  }
}

/** Marks routes and requests by area: API, web and panel. */
export default fp(
  async app => {
    app.addHook('onRoute', function (route) {
      if (this.area === undefined) return
      const isWeb = this.area !== 'isApi'
      route.config = { ...route.config, [this.area]: true, ...(isWeb && { isWeb }) }
    })
    app.addStep('onRequest', areaStep(app.config))
  },
  { name: 'area', dependencies: ['steps'] },
)
