import fp from 'fastify-plugin'
import { type Encryption, encryption } from '#src/auth/encryption.ts'
import type { AppKey } from '#src/config/app-key.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** What APP_KEY and APP_PREVIOUS_KEYS are for: the first key writes, all of them read. */
    keys: {
      encryption(): Encryption
      /** The texts of the keys, by which links are signed. */
      signing(): readonly [string, ...string[]]
    }
  }
}

/** Adds `app.keys`. A server always has a key; without one the routes can be described and not used. */
export default fp(
  async app => {
    const { config, random } = app
    const all = (): readonly [AppKey, ...AppKey[]] => {
      if (config.appKey === null) throw new Error('APP_KEY is not set.')
      return [config.appKey, ...config.appPreviousKeys]
    }
    let ready: Encryption | null = null
    app.decorate('keys', {
      encryption() {
        const [first, ...previous] = all()
        ready ??= encryption([first.bytes, ...previous.map(({ bytes }) => bytes)], random)
        return ready
      },
      signing() {
        const [first, ...previous] = all()
        return [first.text, ...previous.map(({ text }) => text)]
      },
    })
  },
  { name: 'keys' },
)
