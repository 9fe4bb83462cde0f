import swagger from '@fastify/swagger'
import fp from 'fastify-plugin'
import * as ENDPOINTS from '#src/api/endpoints.ts'
import { type CompressedDocument, compressedDocument } from '#src/http/compressed-document.ts'
import { documentInfo, type OpenApiDocument, securityOf, withQueryParameters } from '#src/openapi/document.ts'
import { resourceSchemas } from '#src/query/openapi.ts'
import type { Endpoint } from '#src/query/resource.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The OpenAPI document. */
    specification: { json: CompressedDocument; yaml: CompressedDocument }
  }
}

/** How long after the start the document is made, in milliseconds, unless somebody asks for it before. */
const PREPARE_MS = 1_000

/** Makes the OpenAPI document from the routes. */
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
      transform: ({ schema, url, route }) => ({
        url,
        schema: { ...schema, security: securityOf(route.config?.access) },
      }),
      transformObject: document =>
        withQueryParameters(
          (document as { openapiObject: OpenApiDocument }).openapiObject,
          endpoints,
        ) as never,
    })
    const json = compressedDocument({
      type: 'application/json; charset=utf-8',
      make: () => JSON.stringify(app.swagger()),
    })
    const yaml = compressedDocument({
      type: 'application/x-yaml; charset=utf-8',
      make: () => app.swagger({ yaml: true }),
    })
    app.decorate('specification', { json, yaml })
    // Not at once: making it takes a tenth of a second. YAML takes half a one, and waits until somebody wants it.
    let cancel = () => {}
    app.addHook('onListen', async () => {
      cancel = app.schedule(PREPARE_MS, () => {
        json.prepare().catch(error => app.log.error({ err: error }, 'the specification was not made'))
      })
    })
    app.addHook('onClose', async () => cancel())
  },
  { name: 'openapi', dependencies: ['access'] },
)
