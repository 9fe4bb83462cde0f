import fp from 'fastify-plugin'
import { areaStep } from '#src/http/steps/area.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** What all routes of an encapsulated part of the server are: its key in their config. */
    area?: 'isApi' | 'isWeb' | 'isPanel'
  }

  interface FastifyRequest {
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

/** Marks the routes of the API and those for browsers, and requests as what they belong to. */
export default fp(
  async app => {
    app.addHook('onRoute', function (route) {
      if (this.area === undefined) return
      const isWeb = this.area !== 'isApi'
      route.config = { ...route.config, [this.area]: true, ...(isWeb && { isWeb }) }
    })
    app.decorateRequest('isApi', false)
    app.decorateRequest('isPanel', false)
    app.addStep('onRequest', areaStep(app.config))
  },
  { name: 'area', dependencies: ['steps'] },
)
