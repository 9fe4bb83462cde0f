import swagger from '@fastify/swagger'
import type { RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import * as ENDPOINTS from '#src/api/endpoints.ts'
import { type CompressedDocument, createCompressedDocument } from '#src/http/compressed-document.ts'
import {
  completeDocument,
  documentForPages,
  documentInfo,
  type OpenApiDocument,
  securityRequirements,
} from '#src/openapi/document.ts'
import type { Endpoint } from '#src/query/resource.ts'
import { lazy } from '#src/runtime/lazy.ts'
import type { Millis } from '#src/runtime/units.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The OpenAPI document. */
    specification: {
      json: CompressedDocument
      yaml: CompressedDocument
      /** For Swagger UI. */
      forPages: CompressedDocument
    }
  }
}

/** The delay after the start before the document is rendered, unless a request needs it earlier. */
const PREPARE_MS: Millis = 1_000

/** Builds the OpenAPI document from the routes. */
export default fp(
  async app => {
    const endpoints: Endpoint[] = Object.values(ENDPOINTS)
    const routes = new Map<string, RouteOptions>()
    app.addHook('onRoute', route => {
      const { config, schema } = route
      if (!schema?.operationId) return
      if (config?.endpoint && !endpoints.includes(config.endpoint)) {
        throw new Error(`The endpoint of ${schema.operationId} is not in src/api/endpoints.ts.`)
      }
      routes.set(schema.operationId, route)
    })
    await app.register(swagger, {
      openapi: documentInfo(app.config),
      stripBasePath: false,
      // Without what is described below in another form.
      transform: ({ schema: { operationId, tags, summary, description, hide } = {}, url, route }) => {
        const security = securityRequirements(route.config?.access)
        return {
          url,
          schema: { operationId, tags, summary, description, hide, ...(security && { security }) },
        }
      },
      transformObject: document =>
        completeDocument(
          (document as { openapiObject: OpenApiDocument }).openapiObject,
          routes,
          app.config,
          endpoints,
        ) as never,
    })
    const document = lazy(() => app.swagger() as object)
    const json = createCompressedDocument({
      type: 'application/json; charset=utf-8',
      render: () => JSON.stringify(document()),
    })
    const yaml = createCompressedDocument({
      type: 'application/x-yaml; charset=utf-8',
      render: () => app.swagger({ yaml: true }),
    })
    const forPages = createCompressedDocument({
      type: 'application/json; charset=utf-8',
      render: () => JSON.stringify(documentForPages(document())),
    })
    app.decorate('specification', { json, yaml, forPages })
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
