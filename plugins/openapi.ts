import swagger from '@fastify/swagger'
import fp from 'fastify-plugin'
import * as ENDPOINTS from '#src/api/endpoints.ts'
import { type CompressedDocument, createCompressedDocument } from '#src/http/compressed-document.ts'
import { documentedResponses } from '#src/http/documented-access.ts'
import {
  documentInfo,
  type OpenApiDocument,
  securityRequirements,
  withQueryParameters,
} from '#src/openapi/document.ts'
import { resourceSchemas } from '#src/query/openapi.ts'
import type { Endpoint } from '#src/query/resource.ts'
import type { Millis } from '#src/runtime/units.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The OpenAPI document. */
    specification: { json: CompressedDocument; yaml: CompressedDocument }
  }
}

/** The delay after the start before the document is rendered, unless a request needs it earlier. */
const PREPARE_MS: Millis = 1_000

/** Builds the OpenAPI document from the routes. */
export default fp(
  async app => {
    const declared: Endpoint[] = Object.values(ENDPOINTS)
    const endpoints = new Map<string, Endpoint>()
    app.addHook('onRoute', ({ config, schema }) => {
      if (!config?.endpoint || !schema?.operationId) return
      if (!declared.includes(config.endpoint)) {
        throw new Error(`The endpoint of ${schema.operationId} is not in src/api/endpoints.ts.`)
      }
      endpoints.set(schema.operationId, config.endpoint)
    })
    for (const schema of resourceSchemas(declared)) app.addSchema(schema)
    await app.register(swagger, {
      refResolver: { buildLocalReference: ({ $id }) => String($id) },
      openapi: documentInfo(app.config),
      // Not when routes are registered: the document needs it, and the start does not.
      transform: ({ schema, url, route }) => ({
        url,
        schema: {
          ...schema,
          response: documentedResponses(route, app.config),
          security: securityRequirements(route.config?.access),
        },
      }),
      transformObject: document =>
        withQueryParameters(
          (document as { openapiObject: OpenApiDocument }).openapiObject,
          endpoints,
        ) as never,
    })
    const json = createCompressedDocument({
      type: 'application/json; charset=utf-8',
      render: () => JSON.stringify(app.swagger()),
    })
    const yaml = createCompressedDocument({
      type: 'application/x-yaml; charset=utf-8',
      render: () => app.swagger({ yaml: true }),
    })
    app.decorate('specification', { json, yaml })
    // Not during the start, since it takes 0.1 s. YAML takes 0.5 s, and is rendered with its first request.
    let cancel = () => {}
    app.addHook('onListen', async () => {
      cancel = app.schedule(PREPARE_MS, () => {
        json
          .prepare()
          .catch(error => app.log.error({ err: error }, 'the OpenAPI document could not be rendered'))
      })
    })
    app.addHook('onClose', async () => cancel())
  },
  { name: 'openapi', dependencies: ['access'] },
)
