import type { RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import * as ENDPOINTS from '#src/api/endpoints.ts'
import { type CompressedDocument, createCompressedDocument } from '#src/http/compressed-document.ts'
import type { GeneratedDocument } from '#src/openapi/generate.ts'
import type { Endpoint } from '#src/query/resource.ts'
import { lazy } from '#src/runtime/lazy.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The OpenAPI document. */
    specification: {
      /** Generates the document, once. */
      document(): Promise<object>
      json: CompressedDocument
      yaml: CompressedDocument
      /** For Swagger UI. */
      forPages: CompressedDocument
    }
  }
}

/** Builds the OpenAPI document from the routes, with the first request for it. */
export default fp(
  async app => {
    const endpoints: Endpoint[] = Object.values(ENDPOINTS)
    const routes: RouteOptions[] = []
    app.addHook('onRoute', route => {
      const { config, schema } = route
      if (!schema?.operationId) return
      if (config?.endpoint && !endpoints.includes(config.endpoint)) {
        throw new Error(`The endpoint of ${schema.operationId} is not in src/api/endpoints.ts.`)
      }
      routes.push(route)
    })
    // The generator is loaded only then: most processes never render the document.
    const generated = lazy(async (): Promise<GeneratedDocument> => {
      const { generateDocument } = await import('#src/openapi/generate.ts')
      return generateDocument(routes, app.config, endpoints)
    })
    const json = createCompressedDocument({
      type: 'application/json; charset=utf-8',
      render: async () => JSON.stringify((await generated()).document),
    })
    const yaml = createCompressedDocument({
      type: 'application/x-yaml; charset=utf-8',
      render: async () => (await generated()).yaml(),
    })
    const forPages = createCompressedDocument({
      type: 'application/json; charset=utf-8',
      render: async () => JSON.stringify((await generated()).forPages()),
    })
    app.decorate('specification', {
      document: async () => (await generated()).document,
      json,
      yaml,
      forPages,
    })
  },
  { name: 'openapi', dependencies: ['access'] },
)
