import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { SCRIPT, STYLESHEET } from '#src/panel/assets.ts'

/** What the panel's pages load. Not pages themselves, so that caches may keep them and nobody's session comes along. */
const assets: FastifyPluginAsyncTypebox = async app => {
  for (const { url, type, text } of [STYLESHEET, SCRIPT]) {
    const [path = ''] = url.split('?')
    app.get(
      path,
      { config: { access: { auth: 'none' } }, schema: { hide: true } },
      async (request, reply) => {
        // Another version may be asked for while some instances have it and this one does not yet.
        if (request.url === url) reply.header('cache-control', 'public, max-age=31536000, immutable')
        return reply.type(type).send(text)
      },
    )
  }
}

export default assets
