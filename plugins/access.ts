import type { FastifyInstance, HTTPMethods, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import findMyWay from 'find-my-way'
import { forbidden, methodNotAllowed, routeNotFound, unauthenticated } from '../src/api/errors.ts'
import { MESSAGES } from '../src/api/messages.ts'
import { accessResponses } from '../src/api/responses.ts'
import { refusal } from '../src/auth/permission.ts'

/** Who may call a route. */
export interface Access {
  /** Whether somebody must be known to call, may be, or does not matter. */
  auth: 'required' | 'optional' | 'none'
  /** The permission that whoever is known must hold. */
  permission?: string
}

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
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
        const documented = { access, isApi: route.config?.isApi === true }
        route.schema = {
          ...route.schema,
          response: { ...accessResponses(documented), ...(route.schema?.response as object | undefined) },
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

    app.addHook('onRequest', async (request, reply) => {
      if (request.is404) {
        const path = request.url.split('?', 1)[0] ?? request.url
        const allowed = methodsOf(path)
        if (allowed.length === 0) throw routeNotFound(path)
        if (request.method !== 'OPTIONS') throw methodNotAllowed(request.method, path, allowed)
        return reply.header('allow', allowed.join(', ')).send()
      }
      const { auth, permission } = request.routeOptions.config.access as Access
      const { identity } = request
      if (identity === null) {
        if (auth === 'required') throw unauthenticated()
        return
      }
      if (permission === undefined) return
      const reason = refusal(identity, permission)
      if (reason !== null) throw forbidden(reason === 'prohibited' ? MESSAGES.prohibited : undefined)
    })

    // For what a route itself finds to be missing, such as a file: a path without a route ends above.
    app.setNotFoundHandler(request => {
      throw routeNotFound(request.url.split('?', 1)[0] ?? request.url)
    })
  },
  { name: 'access', dependencies: ['rate-limit'] },
)

/** Which methods a path has, found as the server itself finds its routes. */
function knownMethods(app: FastifyInstance, routes: readonly RouteOptions[]) {
  const router = findMyWay({ ignoreTrailingSlash: true })
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
