import type { Kysely } from 'kysely'
import type { SessionDigest, SessionLifetimes } from '#src/auth/session.ts'
import { endBrowsers, type KnownBrowser, listBrowsers } from '#src/database/browsers.ts'
import type { Schema } from '#src/database/schema.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Authority, Grantor } from './grantor.ts'

/** Which of a user's browsers are logged out: one, all but the caller's, or all. */
export type EndedBrowsers = { id: string } | 'others' | 'all'

/** The browsers in which users are logged in. */
export interface Browsers {
  /** Lists a user's browsers, last used first. It includes remembered devices without a session. */
  list(userId: number): Promise<KnownBrowser[]>
  /** Logs browsers out. Returns how many. */
  end(grantor: Grantor, which: EndedBrowsers): Promise<number>
}

/** The session of the caller; null for a token and for an operator. */
export const currentBrowser = (authority: Authority | null): SessionDigest | null =>
  authority?.via === 'session' ? authority.session.id.digest() : null

interface BrowsersOptions {
  kysely: Kysely<Schema>
  config: SessionLifetimes
  clock(): EpochMillis
}

/** Creates the {@link Browsers} of a process. */
export const createBrowsers = ({ kysely, config, clock }: BrowsersOptions): Browsers => ({
  list: userId => listBrowsers(kysely, userId, clock(), config),

  async end(grantor, which) {
    // PostgreSQL has no text with a NUL and rejects one as a parameter.
    if (typeof which === 'object' && which.id.includes('\0')) return 0
    const { userId, own, count } = await grantor.authorized(async (transaction, authority) => {
      const own = currentBrowser(authority)
      const ended = typeof which === 'object' ? which : { except: which === 'others' ? own : null }
      const { id: userId } = authority.user
      return { userId, own, count: await endBrowsers(transaction, userId, ended) }
    })
    if (which === 'others') grantor.record('session ended', { userId, which: 'all others' })
    else if (count > 0) grantor.record('session ended', { userId, which: eventNameOf(which, own) })
    return count
  },
})

const eventNameOf = (which: Exclude<EndedBrowsers, 'others'>, own: SessionDigest | null) =>
  which === 'all' ? 'all' : which.id === own ? 'its own' : 'another'
