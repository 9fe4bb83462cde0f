import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import findMyWay from 'find-my-way'
import {
  BODY_LIMIT_BYTES,
  forbidden,
  methodNotAllowed,
  passwordConfirmationRequired,
  routeNotFound,
  SecondFactorRequired,
  unauthenticated,
} from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import { accessResponses, withLimits } from '#src/api/responses.ts'
import { type Ability, allows } from '#src/auth/ability.ts'
import type { Identity, SessionIdentity, User } from '#src/auth/identity.ts'
import { BYPASS_AUTHORIZATION, type Refusal, refusal } from '#src/auth/permission.ts'
import { owesSecondFactor } from '#src/auth/second-factor.ts'
import { hasConfirmedPassword } from '#src/auth/session.ts'
import { isHealthCheck, isSafe, pathOf, ROUTER_OPTIONS } from '#src/http/http.ts'
import type { Endpoint } from '#src/query/resource.ts'

/** Who may call a route. */
export interface Access {
  /** Whether somebody must be known to call, may be, must not have logged in, or does not matter. */
  auth: 'required' | 'optional' | 'guest' | 'none'
  /** The one way in which a caller is recognised here; both ways unless it is given. */
  via?: 'session' | 'token'
  /** The permission that whoever is known must hold, or all of several. */
  permission?: string | readonly string[]
  /** What a token must allow; a session allows everything. */
  ability?: Ability
  /**
   * That a session's user must have confirmed the password within the last three hours, or that the form brings it
   * along as `current_password` if not.
   */
  password?: 'confirmed' | 'confirmed or entered'
  /**
   * That the route checks the permission itself, by `request.authorize()`, once it knows whether the row exists:
   * what is missing is 404 for everybody. An answer without that check is an error.
   */
  checked?: 'after the row'
  /** That the route is open to users who are banned from everything as well. */
  whileBanned?: true
  /** That the route is open as well to users who have to set up a second factor first. */
  beforeSecondFactor?: true
}

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
    /** What the route understands of the query language. */
    endpoint?: Endpoint
  }
  interface FastifyRequest {
    /** Who calls. Throws 401 where nobody is known to. */
    caller(): Identity
    /** Who calls in a session. Throws 401 for everybody else. */
    sessionCaller(): SessionIdentity
    /** The user who calls. Throws 401 where nobody is known to. */
    user(): User
    /**
     * Asks again whether the route lets its caller, as the caller is known by now.
     *
     * @throws {HttpError} 401, 403 or 423
     */
    requireAccess(): void
    /**
     * Lets only those go on who are neither banned from everything nor have to set up a second factor first, unless
     * that is open to them. Throws 403.
     */
    requireStanding(open?: Pick<Access, 'whileBanned' | 'beforeSecondFactor'>): void
    /** Whether the user of the request's session has not confirmed the password lately. A token owes none. */
    owesPassword(): boolean
    /** Whether whoever is known may do what the route's permission names. */
    permits(): boolean
    /** Lets only those go on who may; for routes that check the permission themselves. Throws 403. */
    authorize(): void
    isAuthorized: boolean
    /** Whether the caller owns a row, by the owner's id, or is one whom no policy stops. */
    owns(userId: number | null): boolean
    /** Lets only those go on who own a row. Throws 403. */
    requireOwner(userId: number | null): void
    /** Lets only those go on whose token allows something, unless TOKEN_ABILITIES is off. Throws 403. */
    requireAbility(ability: Ability): void
  }
}

/**
 * Turns each route's `config.access` into its guard and into the answers that it documents. A route that does
 * not say who may call it keeps the server from starting.
 */
export default fp(
  async app => {
    const routes: RouteOptions[] = []

    app.addHook('onRoute', route => {
      routes.push(route)
      const access = route.config?.access
      if (access !== undefined) {
        const { isApi = false, isWeb = false, endpoint } = route.config ?? {}
        const changes = [route.method].flat().some(method => !isSafe(method))
        const hasBody = route.schema?.body !== undefined
        const hasInput = endpoint !== undefined || hasBody || route.schema?.querystring !== undefined
        const { csrfMode } = app.config
        const documented = {
          access,
          isApi,
          isWeb,
          changes,
          hasInput,
          hasBody,
          bodyLimit: route.bodyLimit ?? BODY_LIMIT_BYTES,
          isCounted: !isHealthCheck(route.url),
          csrfMode,
        }
        const own = (route.schema?.response ?? {}) as Record<string, { headers?: object }>
        route.schema = {
          ...route.schema,
          response: { ...accessResponses(documented), ...(isApi || isWeb ? withLimits(own) : own) },
        }
      }
    })

    app.addHook('onReady', async () => {
      const undeclared = routes.find(route => route.config?.access === undefined)
      if (undeclared) {
        throw new Error(
          `The route ${undeclared.method} ${undeclared.url} does not say who may call it: give it config.access.`,
        )
      }
    })

    const methodsOf = knownMethods(app, routes)

    app.addStep('guard', {
      run(request, reply) {
        const isAnswered = request.is404 ? answerUnknown(request, reply) : answerGuest(request, reply)
        if (isAnswered !== undefined) return 'answered'
        request.requireAccess()
        return undefined
      },
    })

    /** Says that there is nothing, or something by other methods alone. */
    const answerUnknown = (request: FastifyRequest, reply: FastifyReply) => {
      const path = pathOf(request.url)
      const allowed = methodsOf(path)
      if (allowed.length === 0) throw routeNotFound(path)
      if (request.method !== 'OPTIONS') throw methodNotAllowed(request.method, path, allowed)
      return reply.header('allow', allowed.join(', ')).send()
    }

    const answerGuest = ({ routeConfig, identity }: FastifyRequest, reply: FastifyReply) =>
      routeConfig.access?.auth === 'guest' && identity !== null
        ? reply.send({ error: MESSAGES.alreadyAuthenticated })
        : undefined

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
      const access = this.routeConfig.access as Access
      const { auth, ability, permission, checked, password } = access
      const { identity } = this
      if (identity === null) {
        if (auth === 'required') throw unauthenticated()
        return
      }
      if (auth !== 'none') this.requireStanding(access)
      if (ability !== undefined) this.requireAbility(ability)
      if (permission !== undefined && checked === undefined) this.authorize()
      if (password === 'confirmed' && this.owesPassword()) throw passwordConfirmationRequired()
    })
    app.decorateRequest('requireStanding', function (this: FastifyRequest, open = {}) {
      const { identity } = this
      if (identity === null) return
      if (identity.ban !== null && !open.whileBanned) throw forbidden(MESSAGES.banned(identity.ban))
      if (owesSecondFactor(identity, app.config.requireSecondFactor) && !open.beforeSecondFactor) {
        throw new SecondFactorRequired()
      }
    })
    app.decorateRequest('owesPassword', function (this: FastifyRequest) {
      const { identity } = this
      return identity?.via === 'session' && !hasConfirmedPassword(identity.session, app.clock())
    })

    // What the caller could do when the body was begun may be no longer so.
    app.addStep('authorize', {
      run(request) {
        if (request.isIdentifiedAgain && !request.is404) request.requireAccess()
      },
    })

    app.addHook('onSend', (request, reply, _payload, done) => {
      const isForgotten =
        request.routeConfig.access?.checked !== undefined && reply.statusCode < 400 && !request.isAuthorized
      if (isForgotten) done(new Error(`${request.routeConfig.url} did not check the permission`))
      else done()
    })

    app.decorateRequest('isAuthorized', false)
    app.decorateRequest('requireAbility', function (this: FastifyRequest, ability: Ability) {
      const { identity } = this
      if (!app.config.tokenAbilities || identity?.via !== 'token') return
      if (!allows(identity.token.abilities, ability)) throw forbidden(MESSAGES.invalidAbility)
    })
    app.decorateRequest('permits', function (this: FastifyRequest) {
      return refusalOf(this) === null
    })
    app.decorateRequest('authorize', function (this: FastifyRequest) {
      const reason = refusalOf(this)
      if (reason !== null) throw forbidden(reason === 'prohibited' ? MESSAGES.prohibited : undefined)
      this.isAuthorized = true
    })

    app.decorateRequest('owns', function (this: FastifyRequest, userId: number | null) {
      const { identity } = this
      if (identity === null) return false
      return identity.user.id === userId || identity.permissions.has(BYPASS_AUTHORIZATION)
    })
    app.decorateRequest('requireOwner', function (this: FastifyRequest, userId: number | null) {
      if (!this.owns(userId)) throw forbidden()
    })

    // For what a route itself finds to be missing, such as a file: a path without a route ends above.
    app.setNotFoundHandler(request => {
      throw routeNotFound(pathOf(request.url))
    })
  },
  { name: 'access', dependencies: ['identify', 'steps'] },
)

/** Why whoever is known may not do what the route's permission names; null when nothing is in the way. */
function refusalOf({ identity, routeConfig }: FastifyRequest): Refusal | null {
  if (identity === null) return null
  for (const permission of [routeConfig.access?.permission ?? []].flat()) {
    const reason = refusal(identity, permission)
    if (reason !== null) return reason
  }
  return null
}

/** Which methods a path has, found as the server itself finds its routes. */
function knownMethods(app: FastifyInstance, routes: readonly RouteOptions[]) {
  const router = findMyWay(ROUTER_OPTIONS)
  const methods = new Set<HTTPMethods>()
  const seen = new Set<string>()

  app.addHook('onReady', async () => {
    for (const route of routes) {
      for (const method of [route.method].flat() as HTTPMethods[]) {
        const id = `${method} ${route.url.replace(/(?<=.)\/$/, '')}`
        if (seen.has(id)) continue
        seen.add(id)
        methods.add(method)
        router.on(method as findMyWay.HTTPMethod, route.url, () => {})
      }
    }
  })

  return (path: string) =>
    [...methods].filter(method => router.find(method as findMyWay.HTTPMethod, path) !== null).sort()
}
