import type { RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { isFeatureOn } from '#src/database/features.ts'
import { type Access, type AccessGuard, createAccessGuard, requireDeclaredAccess } from '#src/http/access.ts'
import { createMethodLookup } from '#src/http/known-methods.ts'
import { pathOf } from '#src/http/request.ts'
import { guardStep, loadRowStep, recheckAccessStep } from '#src/http/steps/access.ts'
import type { Endpoint } from '#src/query/resource.ts'
import { routeNotFound } from '#src/responses/errors.ts'
import { lazy } from '#src/runtime/lazy.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
    /** What the route supports of the query language. */
    endpoint?: Endpoint
  }
  interface FastifyInstance {
    /** Checks requests against the access of their routes. */
    accessGuard: AccessGuard
  }
}

/**
 * Enforces each route's `config.access`. The server does not start if a route declares none.
 */
export default fp(
  async app => {
    const { config, clock, database } = app
    const guard = createAccessGuard({
      config,
      clock,
      isFeatureOn: feature => isFeatureOn(database.kysely, feature),
    })
    const routes: RouteOptions[] = []
    const methodLookup = lazy(() => createMethodLookup(routes))

    app.addHook('onRoute', route => {
      routes.push(route)
    })
    app.addHook('onReady', async () => {
      requireDeclaredAccess(routes)
    })
    app.decorate('accessGuard', guard)
    app.addStep(
      'guard',
      guardStep(guard, path => methodLookup()(path)),
    )
    app.addStep('authorize', recheckAccessStep(guard))
    app.addStep('authorize', loadRowStep(guard, 'authorize'))
    // For `reply.callNotFound()` of routes, such as for a missing file. Unknown paths are refused by the guard.
    app.setNotFoundHandler(request => {
      throw routeNotFound(pathOf(request.url))
    })
  },
  { name: 'access', dependencies: ['identify', 'steps'] },
)
