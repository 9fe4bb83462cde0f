import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'

/** Redirects the root path to the API documentation. */
const root: FastifyPluginAsyncTypebox = async app => {
  app.get('/', { config: { access: { auth: 'none' } }, schema: { hide: true } }, async (_request, reply) =>
    reply.redirect('/docs/'),
  )
}

export default root
