import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { SCRIPT, STYLESHEET } from '#src/panel/assets.ts'

/** Serves the static files of the panel. Not in the panel's area: they are cacheable and have no session. */
const assets: FastifyPluginAsyncTypebox = async app => {
  for (const { url, type, text } of [STYLESHEET, SCRIPT]) {
    const [path = ''] = url.split('?')
    app.get(
      path,
      { config: { access: { auth: 'none' } }, schema: { hide: true } },
      async (request, reply) => {
        // During a deployment another version may be requested, which must not be cached under this content.
        if (request.url === url) reply.header('cache-control', 'public, max-age=31536000, immutable')
        return reply.type(type).send(text)
      },
    )
  }
}

export default assets
