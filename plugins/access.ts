import type { FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { routeNotFound, unauthenticated } from '#src/answers/errors.ts'
import type { Ability } from '#src/auth/ability.ts'
import type { Identity, SessionIdentity, User } from '#src/auth/identity.ts'
import { isFeatureOn } from '#src/database/features.ts'
import { type Access, type AccessGuard, accessGuard, requireDeclared } from '#src/http/access.ts'
import { documentedResponses } from '#src/http/documented-access.ts'
import { knownMethods } from '#src/http/known-methods.ts'
import { pathOf } from '#src/http/request.ts'
import { guardAgainStep, guardStep, rowStep } from '#src/http/steps/access.ts'
import type { Endpoint } from '#src/query/resource.ts'

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
  interface FastifyRequest {
    /** Who calls. Throws 401 where nobody is known to. */
    caller(): Identity
    /** Who calls in a session. Throws 401 for everybody else. */
    sessionCaller(): SessionIdentity
    /** The user who calls. Throws 401 where nobody is known to. */
    user(): User
    /** Asks again whether the route lets its caller, as the caller is known by now. Throws 401, 403 or 423. */
    requireAccess(): void
    /** Lets only those go on who are neither banned from everything nor owe a second factor. Throws 403. */
    requireStanding(): void
    /** Lets only those go on whose token allows something. Throws 403. */
    requireAbility(ability: Ability): void
    /** Whether the user of the request's session has not confirmed the password lately. A token owes none. */
    owesPassword(): boolean
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

    app.decorateRequest('caller', function (this: FastifyRequest) {
      if (this.identity === null) throw unauthenticated()
      return this.identity
    })
    app.decorateRequest('sessionCaller', function (this: FastifyRequest) {
      if (this.identity?.via !== 'session') throw unauthenticated()
      return this.identity
    })
    app.decorateRequest('user', function (this: FastifyRequest) {
      return this.caller().user
    })
    app.decorateRequest('requireAccess', function (this: FastifyRequest) {
      guard.requireAccess(this)
    })
    app.decorateRequest('requireStanding', function (this: FastifyRequest) {
      guard.requireStanding(this.identity)
    })
    app.decorateRequest('requireAbility', function (this: FastifyRequest, ability: Ability) {
      guard.requireAbility(this.identity, ability)
    })
    app.decorateRequest('owesPassword', function (this: FastifyRequest) {
      return guard.owesPassword(this.identity)
    })
  },
  { name: 'access', dependencies: ['identify', 'steps'] },
)
