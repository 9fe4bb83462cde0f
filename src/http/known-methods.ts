import type { HTTPMethods, RouteOptions } from 'fastify'
import findMyWay from 'find-my-way'
import { ROUTER_OPTIONS } from './request.ts'

/**
 * Makes the function that tells which methods a path has, in alphabetical order, found as the server itself finds its
 * routes.
 */
export function knownMethods(routes: readonly RouteOptions[]): (path: string) => HTTPMethods[] {
  const router = findMyWay(ROUTER_OPTIONS)
  const methods = new Set<HTTPMethods>()
  const seen = new Set<string>()
  for (const route of routes) {
    for (const method of [route.method].flat() as HTTPMethods[]) {
      const id = `${method} ${route.url.replace(/(?<=.)\/$/, '')}`
      if (seen.has(id)) continue
      seen.add(id)
      methods.add(method)
      router.on(method as findMyWay.HTTPMethod, route.url, () => {})
    }
  }
  return path =>
    [...methods].filter(method => router.find(method as findMyWay.HTTPMethod, path) !== null).sort()
}
