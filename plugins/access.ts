import type { RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { isFeatureOn } from '#src/database/features.ts'
import { type Access, type AccessGuard, accessGuard, requireDeclared } from '#src/http/access.ts'
import { documentedResponses } from '#src/http/documented-access.ts'
import { knownMethods } from '#src/http/known-methods.ts'
import { pathOf } from '#src/http/request.ts'
import { guardAgainStep, guardStep, rowStep } from '#src/http/steps/access.ts'
import type { Endpoint } from '#src/query/resource.ts'
import { routeNotFound } from '#src/responses/errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
    /** What the route understands of the query language. */
    endpoint?: Endpoint
  }
  interface FastifyInstance {
    /** Judges requests by what their routes declare. */
    accessGuard: AccessGuard
  }
}

/**
 * Turns each route's `config.access` into its guard and into the answers that it documents. A route that does not say who
 * may call it keeps the server from starting.
 */
export default fp(
  async app => {
    const { config, clock, database } = app
    const guard = accessGuard({
      config,
      clock,
      isFeatureOn: feature => isFeatureOn(database.kysely, feature),
    })
    const routes: RouteOptions[] = []
    let methodsOf = knownMethods([])

    app.addHook('onRoute', route => {
      routes.push(route)
      const access = route.config?.access
      if (access === undefined) return
      route.schema = { ...route.schema, response: documentedResponses(route, access, config) }
    })
    app.addHook('onReady', async () => {
      requireDeclared(routes)
      methodsOf = knownMethods(routes)
    })
    app.decorate('accessGuard', guard)
    app.addStep(
      'guard',
      guardStep(guard, path => methodsOf(path)),
    )
    app.addStep('authorize', guardAgainStep(guard))
    app.addStep('authorize', rowStep(guard, 'authorize'))
    // For what a route itself finds to be missing, such as a file: a path without a route ends above.
    app.setNotFoundHandler(request => {
      throw routeNotFound(pathOf(request.url))
    })
  },
  { name: 'access', dependencies: ['identify', 'steps'] },
)
