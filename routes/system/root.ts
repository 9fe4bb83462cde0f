import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { basePath } from '#src/config/public-url.ts'

/** Redirects the root path to the API documentation. */
const root: FastifyPluginAsyncTypebox = async app => {
  app.get('/', { config: { access: { auth: 'none' } }, schema: { hide: true } }, async (_request, reply) =>
    reply.redirect(`${basePath(app.config.appUrl)}/docs/`),
  )
}

export default root
