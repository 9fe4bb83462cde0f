import type { FastifyInstance } from 'fastify'
import { get } from './app.ts'

/** What is for guests alone: a user who is logged in is told so, and nothing is done. */
const FOR_GUESTS = ['/login', '/register', '/forgot-password', '/reset-password', '/two-factor-challenge']

/**
 * Every route of the API and of the login that does something for a caller that it knows, with something in the place of
 * its parameters.
 */
export async function knowingRoutes(app: FastifyInstance) {
  const { paths } = (await get(app, '/openapi.json')).json as { paths: Record<string, object> }
  return Object.entries(paths)
    .filter(([path]) => !FOR_GUESTS.includes(path))
    .filter(
      ([path]) => !/^\/($|health|metrics|sanctum|openapi|docs|\.well-known|api\/leaked-token)/.test(path),
    )
    .flatMap(([path, methods]) =>
      Object.keys(methods).map(method => [method.toUpperCase(), path.replace(/\{\w+\}/g, '1')] as const),
    )
}
