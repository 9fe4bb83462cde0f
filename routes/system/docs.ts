import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { loadSwaggerUi, SWAGGER_UI_CSP, SWAGGER_UI_FILES, type SwaggerUi } from '#src/openapi/swagger-ui.ts'

/** Serves Swagger UI under /docs. */
const docs: FastifyPluginAsyncTypebox = async app => {
  const options = { config: { access: { auth: 'none' } }, schema: { hide: true } } as const
  const { forPages, yaml } = app.specification
  let loading: Promise<SwaggerUi> | undefined
  const swaggerUi = () => {
    loading ??= loadSwaggerUi(app.config.csrfCookie)
    return loading
  }

  app.get('/docs/', options, async (request, reply) => {
    // The page's URLs are relative. So is this one: a proxy may publish the server under a path.
    if (!request.url.split('?', 1)[0]?.endsWith('/')) return reply.redirect('docs/')
    const { html } = await swaggerUi()
    reply.headers({
      'content-security-policy': SWAGGER_UI_CSP,
      'cache-control': 'no-cache',
      // Its requests to the API need a referrer to count as first-party.
      'referrer-policy': 'same-origin',
    })
    return reply.type('text/html; charset=utf-8').send(html)
  })
  for (const name of SWAGGER_UI_FILES) {
    app.get<{ Querystring: { v?: unknown } }>(`/docs/static/${name}`, options, async (request, reply) => {
      const file = (await swaggerUi()).files[name]
      // During a deployment another version may be requested, which must not be cached under this content.
      const isCurrent = request.query.v === file.version
      return file.document.send(request, reply, {
        cacheControl: isCurrent ? 'public, max-age=31536000, immutable' : 'no-cache',
      })
    })
  }
  app.get('/docs/json', options, (request, reply) => forPages.send(request, reply))
  app.get('/docs/yaml', options, (request, reply) => yaml.send(request, reply))
}

export default docs
