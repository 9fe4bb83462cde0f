import type { Kysely } from 'kysely'
import type { SessionDigest, SessionLifetimes } from '#src/auth/session.ts'
import { endBrowsers, type KnownBrowser, listBrowsers } from '#src/database/browsers.ts'
import type { Schema } from '#src/database/schema.ts'
import type { Authority, Grantor } from './grantor.ts'

/** Which of a user's browsers are logged out: one, all but the one that asks, or all. */
export type EndedBrowsers = { id: string } | 'others' | 'all'

/** The browsers in which users are logged in. */
export interface Browsers {
  /** Those of a user, last used first, with those that are remembered and have no session at the moment. */
  list(userId: number): Promise<KnownBrowser[]>
  /** Logs browsers out, and returns how many there were. */
  end(grantor: Grantor, which: EndedBrowsers): Promise<number>
}

/** The session at hand; null for a token's holder and for an operator. */
export const currentBrowser = (authority: Authority | null): SessionDigest | null =>
  authority?.via === 'session' ? authority.session.id.digest() : null

interface BrowsersOptions {
  kysely: Kysely<Schema>
  config: SessionLifetimes
  /** Milliseconds since the epoch. */
  clock(): number
}

/** Makes the {@link Browsers} of a process. */
export const createBrowsers = ({ kysely, config, clock }: BrowsersOptions): Browsers => ({
  list: userId => listBrowsers(kysely, userId, clock(), config),

  async end(grantor, which) {
    // No text of PostgreSQL's has a NUL, and asking for one is an error.
    if (typeof which === 'object' && which.id.includes('\0')) return 0
    const { userId, own, count } = await grantor.authorized(async (transaction, authority) => {
      const own = currentBrowser(authority)
      const ended = typeof which === 'object' ? which : { except: which === 'others' ? own : null }
      const { id: userId } = authority.user
      return { userId, own, count: await endBrowsers(transaction, userId, ended) }
    })
    if (which === 'others') grantor.record('session ended', { userId, which: 'all others' })
    else if (count > 0) grantor.record('session ended', { userId, which: nameOf(which, own) })
    return count
  },
})

const nameOf = (which: Exclude<EndedBrowsers, 'others'>, own: SessionDigest | null) =>
  which === 'all' ? 'all' : which.id === own ? 'its own' : 'another'
