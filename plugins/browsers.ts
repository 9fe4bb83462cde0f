import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { SessionDigest } from '#src/auth/session.ts'
import { endBrowsers } from '#src/database/browsers.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The session at hand; null for a token's holder. */
    currentBrowser(): SessionDigest | null
    /**
     * Logs out one of the browsers in which the user is logged in, or all but the one at hand, and returns how many
     * there were.
     */
    endBrowsers(which: { id: string } | 'others'): Promise<number>
  }
}

/** Adds what users do with the browsers in which they are logged in. */
export default fp(
  async app => {
    app.decorateRequest('currentBrowser', function (this: FastifyRequest) {
      return this.identity?.via === 'session' ? this.identity.session.id.digest() : null
    })
    app.decorateRequest('endBrowsers', async function (this: FastifyRequest, which) {
      const own = this.currentBrowser()
      // No text of PostgreSQL's has a NUL, and asking for one is an error.
      if (which !== 'others' && which.id.includes('\0')) return 0
      const ended = which === 'others' ? { except: own } : which
      const { userId, count } = await this.authorized(async (transaction, { user }) => ({
        userId: user.id,
        count: await endBrowsers(transaction, user.id, ended),
      }))
      if (which === 'others') this.record('session ended', { userId, which: 'all others' })
      else if (count > 0) {
        this.record('session ended', { userId, which: which.id === own ? 'its own' : 'another' })
      }
      return count
    })
  },
  { name: 'browsers', dependencies: ['authority', 'events', 'identify'] },
)
