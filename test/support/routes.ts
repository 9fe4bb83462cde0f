import type { FastifyInstance } from 'fastify'
import { get } from './app.ts'

/** Every route of the API and of the login that knows its caller, with something in the place of its parameters. */
export async function knowingRoutes(app: FastifyInstance) {
  const { paths } = (await get(app, '/openapi.json')).json as { paths: Record<string, object> }
  return Object.entries(paths)
    .filter(([path]) => !/^\/($|health|metrics|sanctum|openapi|docs|api\/leaked-token)/.test(path))
    .flatMap(([path, methods]) =>
      Object.keys(methods).map(method => [method.toUpperCase(), path.replace(/\{\w+\}/g, '1')] as const),
    )
}
