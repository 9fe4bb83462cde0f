import type { HTTPMethods, RouteOptions } from 'fastify'
import findMyWay from 'find-my-way'
import { ROUTER_OPTIONS } from './request.ts'

/**
 * Returns a function that looks up the methods of a path, in alphabetical order. It matches paths as the server's router
 * does.
 */
export function createMethodLookup(routes: readonly RouteOptions[]): (path: string) => HTTPMethods[] {
  const router = findMyWay(ROUTER_OPTIONS)
  const methods = new Set<HTTPMethods>()
  const registered = new Set<string>()
  for (const route of routes) {
    for (const method of [route.method].flat() as HTTPMethods[]) {
      const id = `${method} ${route.url.replace(/(?<=.)\/$/, '')}`
      if (registered.has(id)) continue
      registered.add(id)
      methods.add(method)
      router.on(method as findMyWay.HTTPMethod, route.url, () => {})
    }
  }
  return path =>
    [...methods].filter(method => router.find(method as findMyWay.HTTPMethod, path) !== null).sort()
}
