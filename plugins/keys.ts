import fp from 'fastify-plugin'
import { createKeys, type Keys } from '#src/config/keys.ts'

declare module 'fastify' {
  interface FastifyInstance {
    keys: Keys
  }
}

/** Adds `app.keys`. */
export default fp(
  async app => {
    app.decorate('keys', createKeys(app.config, app.random))
  },
  { name: 'keys' },
)
