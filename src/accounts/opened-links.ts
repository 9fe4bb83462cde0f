import { sessionCookies } from '#src/auth/session-cookies.ts'
import { isSignedLink, readSignedLink } from '#src/auth/signed-link.ts'
import type { Config } from '#src/config/config.ts'
import type { Keys } from '#src/config/keys.ts'
import { verificationUrl } from '#src/config/public-url.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { DeviceCookie } from './devices.ts'
import type { SessionHolder } from './sessions.ts'

/** A verification link of a mail, as it was requested. */
export interface OpenedLink {
  /** The user's id and the hash of the address, from the path. */
  id: string
  hash: string
  /** The query string, without the question mark. */
  query: string
}

/** A caller whose browser may keep an opened link. */
export interface LinkHolder extends Pick<SessionHolder, 'headers'> {
  /** The change of the cookie that the response carries; null for none. */
  linkCookie: DeviceCookie | null
}

/**
 * Verification links that were opened in a browser that is not logged in. The browser keeps the link in a cookie until its
 * user logs in, or the link ends.
 */
export interface OpenedLinks {
  /** Whether a link was signed by this server, and has not expired. */
  isGenuine(link: OpenedLink): boolean
  /** Lets the browser keep a link, if it is genuine. */
  keep(holder: LinkHolder, link: OpenedLink): void
  /** The hash of the address that the browser's user has proved to read, if the kept link is for this user; else null. */
  hashFor(holder: LinkHolder, userId: number): string | null
  /** Lets the browser forget its link. */
  forget(holder: LinkHolder): void
}

interface OpenedLinksDeps {
  config: Config
  keys: Pick<Keys, 'signing'>
  clock: () => EpochMillis
}

/** How many cookies of the name are looked at. */
const MAX_COOKIES = 5

/** Creates the {@link OpenedLinks} of a server. */
export function createOpenedLinks({ config, keys, clock }: OpenedLinksDeps): OpenedLinks {
  const { link: cookie } = sessionCookies(config)
  // Links are signed for APP_URL, independent of the request's Host.
  const isGenuine: OpenedLinks['isGenuine'] = ({ id, hash, query }) =>
    isSignedLink(verificationUrl(config, id, hash), query, clock(), keys.signing())
  return {
    isGenuine,
    keep(holder, link) {
      if (!isGenuine(link)) return
      const { expires, signature } = readSignedLink(link.query)
      const value = [link.id, link.hash, expires, signature].join('.')
      holder.linkCookie = { value, expiresAt: Number(expires) * 1_000 }
    },
    hashFor({ headers }, userId) {
      // Another host may have set one of the same name: each proves itself.
      for (const value of cookie.read(headers.cookie).slice(0, MAX_COOKIES)) {
        const [id = '', hash = '', expires, signature] = value.split('.')
        const link = { id, hash, query: `expires=${expires}&signature=${signature}` }
        if (id === String(userId) && isGenuine(link)) return hash
      }
      return null
    },
    forget(holder) {
      holder.linkCookie = { value: '', expiresAt: 0 }
    },
  }
}
