import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'

/** Whoever opens the bare address in a browser wants to know what this is. */
const root: FastifyPluginAsyncTypebox = async app => {
  app.get('/', { config: { access: { auth: 'none' } }, schema: { hide: true } }, async (_request, reply) =>
    reply.redirect('/docs/'),
  )
}

export default root
