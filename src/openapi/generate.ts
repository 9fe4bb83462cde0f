import swagger from '@fastify/swagger'
import fastify, { type RouteOptions } from 'fastify'
import type { Config } from '#src/config/config.ts'
import type { Endpoint } from '#src/query/resource.ts'
import {
  completeDocument,
  documentForPages,
  documentInfo,
  type OpenApiDocument,
  securityRequirements,
} from './document.ts'

/** The OpenAPI document. */
export interface GeneratedDocument {
  document: object
  /** The document for Swagger UI. */
  forPages(): object
  yaml(): string
}

/**
 * Generates the OpenAPI document of the routes. @fastify/swagger collects routes while they are registered, so they are
 * registered again, in an instance of its own without the rest of the server.
 *
 * @param routes those with an operation id, in their order
 */
export async function generateDocument(
  routes: readonly RouteOptions[],
  config: Config,
  endpoints: readonly Endpoint[],
): Promise<GeneratedDocument> {
  const byOperation = new Map(routes.map(route => [route.schema?.operationId ?? '', route]))
  // Nothing is validated or serialized here.
  const collector = fastify({ exposeHeadRoutes: false })
    .setValidatorCompiler(() => () => true)
    .setSerializerCompiler(() => () => '')
  await collector.register(swagger, {
    openapi: documentInfo(config),
    stripBasePath: false,
    // Without what is described below in another form.
    transform: ({ schema: { operationId, tags, summary, description, hide } = {}, url, route }) => {
      const security = securityRequirements(route.config?.access)
      return { url, schema: { operationId, tags, summary, description, hide, ...(security && { security }) } }
    },
    transformObject: document =>
      completeDocument(
        (document as { openapiObject: OpenApiDocument }).openapiObject,
        byOperation,
        config,
        endpoints,
      ) as never,
  })
  for (const { method, url, schema, config } of routes) {
    if (method !== 'HEAD') collector.route({ method, url, schema, config, handler: () => {} } as RouteOptions)
  }
  await collector.ready()
  const document = collector.swagger() as object
  return {
    document,
    forPages: () => documentForPages(document as never),
    yaml: () => collector.swagger({ yaml: true }),
  }
}
