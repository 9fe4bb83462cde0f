import { LRUCache } from 'lru-cache'
import { getDomain } from 'tldts'

/** What a request says of the page that it comes from. */
export interface RequestSource {
  /** The `Referer` headers; there should be one at most. */
  referers: readonly string[]
  origin: string | undefined
  /** The `Host` that the request names, with its port unless that is the scheme's own. */
  host: string
  /** What the browser itself says of it, the header `Sec-Fetch-Site` of Fetch Metadata. */
  fetchSite: string | undefined
}

/** Whether a request comes from a page of ours; if not, `reason` says why, in words for whoever sets it up. */
export type FirstPartyVerdict = { isFirstParty: true } | { isFirstParty: false; reason: string }

/** Stands in the list of domains for the host that the request itself names, as Sanctum has it. */
const CURRENT_HOST = '__SANCTUM_CURRENT_REQUEST_HOST__'

/** RFC 1035 §3.1 allows 253 characters, a port takes six more, and a longer text is not worth matching. */
const MAX_HOST = 260

/** How many verdicts about pages are remembered, of addresses of how many characters at most. */
const REMEMBERED = 1_000
const MAX_REMEMBERED = 500

/** The names of this machine itself, as URLs have them. */
export const LOOPBACK: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]'])

/** Whether a URL names this machine itself: what it sends there, nobody else reads (RFC 6761 §6.3, RFC 1122 §3.2.1.3). */
export const isLoopback = ({ hostname }: URL): boolean =>
  LOOPBACK.has(hostname) || /^127(\.\d{1,3}){3}$/.test(hostname) || hostname.endsWith('.localhost')

/** Which origins are pages of ours. */
export interface FirstParty {
  /** Whether an origin, or the URL of a page, is one of ours; `host` is the one that the request names. */
  includes(page: string, host: string): boolean
  /** Decides by `Referer`, else by `Origin`, and by what the browser says of a page of this very origin. */
  judge(source: RequestSource): FirstPartyVerdict
}

/**
 * Knows which origins are first parties.
 *
 * A pattern is `host[:port]`, where `*` stands for any run of characters, with a scheme before it if that is another
 * than APP_URL's: over plain HTTP anybody on the way could write such a page. It is compared with the host and port of the page alone: neither a path nor a user name in its URL
 * can satisfy it. A URL counts only if it is written as browsers write it; what merely parses like one of ours
 * does not (upper case, a port that goes without saying, an IDN in Unicode, line breaks).
 *
 * @param patterns SANCTUM_STATEFUL_DOMAINS
 * @param own APP_URL, whose origin is always one of ours; a name of this machine stands for all of them
 */
export function firstParty(patterns: readonly string[], own: URL): FirstParty {
  const origins = new Set(ownOrigins(own))
  const isOurs = patterns.map(pattern => matcher(pattern, own.protocol))
  const listed = patterns.join(',')

  const decide = (page: string, host: string) => {
    const url = parsePage(page, own.protocol)
    return url !== null && (origins.has(url.origin) || isOurs.some(matches => matches(url, host)))
  }

  // The same pages send request after request, and reading a URL takes longer than all the rest.
  const decided = new LRUCache<string, boolean>({ max: REMEMBERED })
  const includes = (page: string, host: string) => {
    if (page.length > MAX_REMEMBERED) return decide(page, host)
    const key = `${host} ${page}`
    let isIncluded = decided.get(key)
    if (isIncluded === undefined) {
      isIncluded = decide(page, host)
      decided.set(key, isIncluded)
    }
    return isIncluded
  }

  return {
    includes,
    judge({ referers, origin, host, fetchSite }) {
      const [referer = '', ...more] = referers
      if (more.length > 0) return refused('it has two Referer headers')
      const isSameOrigin = fetchSite === 'same-origin'
      const [name, page] = referer === '' ? ['Origin', origin ?? ''] : ['Referer', referer]
      if (page === '') {
        return isSameOrigin ? FIRST_PARTY : refused('it has neither a Referer nor an Origin header')
      }
      // A page of the very host that was asked is one that we served, under whatever name.
      if (includes(page, host) || (isSameOrigin && isHost(parsePage(page), host))) return FIRST_PARTY
      return refused(
        `its ${name} ${describePage(page)} is neither APP_URL's nor in SANCTUM_STATEFUL_DOMAINS (${listed}), where ${own.protocol}// is meant unless a scheme is given`,
      )
    },
  }
}

const FIRST_PARTY: FirstPartyVerdict = { isFirstParty: true }

/**
 * Whether a request's `Host` is ours.
 *
 * @param own the host of APP_URL, and APP_HOSTS: names, and domains as `*.example.org`
 */
export function ownHosts(own: readonly string[]): (named: string) => boolean {
  const names = new Set(own.map(host => host.toLowerCase()))
  const domains = [...names].filter(host => host.startsWith('*.')).map(host => host.slice(1))
  return named => {
    const host = named.replace(/:\d*$/, '').toLowerCase()
    return names.has(host) || domains.some(domain => host.endsWith(domain))
  }
}

/** Whether hosts that anybody can have meet a pattern: no domain of somebody's stands behind its last wildcard. */
export function isOpenToAnybody(pattern: string): boolean {
  const host = parsePattern(pattern).host.replace(/:[\d*]*$/, '')
  if (!host.includes('*')) return false
  const rest = host.slice(host.lastIndexOf('*') + 1)
  const domain = getDomain(`a${rest}`, { allowPrivateDomains: true })
  return domain === null || !rest.endsWith(`.${domain}`)
}

/**
 * Whether a browser can be on a page that meets a pattern: it is written as browsers write hosts, without the port that
 * goes without saying, and with IPv6 addresses in their shortest form.
 */
export function isWritten(pattern: string): boolean {
  const { scheme, host } = parsePattern(pattern)
  if (host === CURRENT_HOST || host.includes('*')) return true
  return (scheme === '' ? ['http:', 'https:'] : [scheme]).every(
    protocol => URL.canParse(`${protocol}//${host}`) && new URL(`${protocol}//${host}`).host === host,
  )
}

const refused = (reason: string): FirstPartyVerdict => ({ isFirstParty: false, reason })

function ownOrigins(own: URL): string[] {
  const { protocol, port, origin } = own
  if (!LOOPBACK.has(own.hostname)) return [origin]
  return [...LOOPBACK].map(name => `${protocol}//${name}${port && `:${port}`}`)
}

/** The URL of a page, if it is written as browsers write it. Without a scheme it is a host, as Sanctum allows. */
function parsePage(page: string, scheme = 'http:'): URL | null {
  const text = page.includes('://') ? page : `${scheme}//${page}`
  if (page === 'null' || !URL.canParse(text)) return null
  const url = new URL(text)
  const rest = text.slice(url.origin.length)
  const isCanonical = text.startsWith(url.origin) && (rest === '' || /^[/?#]/.test(rest))
  const isWeb = url.protocol === 'http:' || url.protocol === 'https:'
  return isWeb && isCanonical && url.host.length <= MAX_HOST ? url : null
}

/** The origin of a page for the log: its path and query are nobody's business. */
const describePage = (page: string) => parsePage(page)?.origin ?? '(not a URL that a browser writes)'

type Matcher = (page: URL, requestHost: string) => boolean

/** The scheme of a pattern, empty without one, and its host in lower case: an IPv6 address without brackets has no port. */
function parsePattern(pattern: string): { scheme: string; host: string } {
  const [, scheme = '', rest = ''] = /^(?:(https?:)\/\/)?(.*)$/i.exec(pattern) ?? []
  const host = rest === CURRENT_HOST ? rest : rest.toLowerCase()
  const hasPort = host.startsWith('[') || host.split(':').length <= 2
  return { scheme: scheme.toLowerCase(), host: hasPort ? host : `[${host}]` }
}

function matcher(pattern: string, ownScheme: string): Matcher {
  const { scheme, host } = parsePattern(pattern)
  const allows = ({ protocol }: URL) => protocol === (scheme || ownScheme)
  if (host === CURRENT_HOST) return (page, requestHost) => allows(page) && isHost(page, requestHost)
  if (!host.includes('*')) return page => allows(page) && page.host === host
  const glob = new RegExp(`^${host.split('*').map(escapeRegExp).join('.*')}$`)
  return page => allows(page) && glob.test(page.host)
}

/** Whether a page is of the host that a request names, with or without the port that goes without saying. */
function isHost(page: URL | null, host: string): boolean {
  const named = `${page?.protocol}//${host}`
  return page !== null && URL.canParse(named) && new URL(named).host === page.host
}

const escapeRegExp = (text: string) => text.replace(/[.[\]:-]/g, '\\$&')
