import { LRUCache } from 'lru-cache'
import { lazyPackage } from '#src/runtime/lazy-package.ts'

const tldts = lazyPackage<typeof import('tldts')>('tldts')

/** The headers of a request that describe the page it comes from. */
export interface RequestSource {
  /** The `Referer` headers: one at most in a valid request. */
  referers: readonly string[]
  origin: string | undefined
  /** The `Host` header, with a port unless it is the scheme's default. */
  host: string
  /** The header `Sec-Fetch-Site` (Fetch Metadata), which only the browser can set. */
  fetchSite: string | undefined
}

/** Whether a request comes from a first party; if not, `reason` explains it to the operator. */
export type FirstPartyVerdict = { isFirstParty: true } | { isFirstParty: false; reason: string }

/** Sanctum's placeholder for the host of the request. */
const CURRENT_HOST = '__SANCTUM_CURRENT_REQUEST_HOST__'

/** The longest host that is matched: 253 characters (RFC 1035 §3.1) and a port of six. */
const MAX_HOST = 260

/** The capacity of the cache of decisions, and the longest page URL that is cached. */
const CACHE_CAPACITY = 1_000
const MAX_CACHED_LENGTH = 500

/** The loopback hosts, as URLs write them. */
export const LOOPBACK: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]'])

/**
 * Whether a URL is on the loopback interface, where no third party can read traffic (RFC 6761 §6.3, RFC 1122
 * §3.2.1.3).
 */
export const isLoopback = ({ hostname }: URL): boolean =>
  LOOPBACK.has(hostname) || /^127(\.\d{1,3}){3}$/.test(hostname) || hostname.endsWith('.localhost')

/** Origins of applications that show pages without a web server, such as `capacitor://localhost`. */
const APP_ORIGIN = /^((?!https?:|wss?:|ftp:|file:)[a-z][a-z\d+.-]{1,30}:\/\/[a-z\d.-]{1,100})(?:[/?#]|$)/

/** Returns the origin of a page of an application; null for a page on the web. */
const appOriginOf = (page: string): string | null => APP_ORIGIN.exec(page)?.[1] ?? null

/** Whether a text is the origin of an application: `capacitor://localhost`, `ionic://localhost`, `tauri://localhost`. */
export const isAppOrigin = (text: string): boolean => appOriginOf(text) === text

export interface FirstParty {
  /** Whether an origin, or the URL of a page, is a first party; `host` is the request's. */
  includes(page: string, host: string): boolean
  /**
   * Decides by `Referer`, otherwise by `Origin`; `Sec-Fetch-Site: same-origin` covers pages of the request's own
   * host.
   */
  check(source: RequestSource): FirstPartyVerdict
}

/**
 * Decides which origins are first parties.
 *
 * A pattern is `[scheme://]host[:port]`, where `*` matches any run of characters. Without a scheme it means
 * APP_URL's: over plain HTTP a network attacker could forge the page. A pattern is compared with host and port of the
 * page only, so neither path nor user name of a URL can satisfy it. URLs must be in the form that browsers serialize;
 * other forms that parse to a first party (upper case, a default port, an IDN in Unicode, line breaks) are refused.
 *
 * @param patterns SANCTUM_STATEFUL_DOMAINS
 * @param own APP_URL, whose origin is always a first party; a loopback host stands for all loopback hosts
 */
export function createFirstParty(patterns: readonly string[], own: URL): FirstParty {
  const origins = new Set([...ownOrigins(own), ...patterns.filter(isAppOrigin)])
  const matchers = patterns
    .filter(pattern => !isAppOrigin(pattern))
    .map(pattern => createMatcher(pattern, own.protocol))
  const listed = patterns.join(',')

  const decide = (page: string, host: string) => {
    const appOrigin = appOriginOf(page)
    if (appOrigin !== null) return origins.has(appOrigin)
    const url = parsePage(page, own.protocol)
    return url !== null && (origins.has(url.origin) || matchers.some(matches => matches(url, host)))
  }

  // Pages send many requests, and parsing a URL is the most expensive part of the decision.
  const decisions = new LRUCache<string, boolean>({ max: CACHE_CAPACITY })
  const includes = (page: string, host: string) => {
    if (page.length > MAX_CACHED_LENGTH) return decide(page, host)
    const key = `${host} ${page}`
    let isIncluded = decisions.get(key)
    if (isIncluded === undefined) {
      isIncluded = decide(page, host)
      decisions.set(key, isIncluded)
    }
    return isIncluded
  }

  return {
    includes,
    check({ referers, origin, host, fetchSite }) {
      const [referer = '', ...more] = referers
      if (more.length > 0) return refuse('it has two Referer headers')
      const isSameOrigin = fetchSite === 'same-origin'
      const [name, page] = referer === '' ? ['Origin', origin ?? ''] : ['Referer', referer]
      if (page === '') {
        return isSameOrigin ? FIRST_PARTY : refuse('it has neither a Referer nor an Origin header')
      }
      // A same-origin page of the requested host was served by this server, under any name.
      if (includes(page, host) || (isSameOrigin && isHost(parsePage(page), host))) return FIRST_PARTY
      return refuse(
        `its ${name} ${describePage(page)} is neither APP_URL's nor in SANCTUM_STATEFUL_DOMAINS (${listed}), where ${own.protocol}// applies unless a pattern has a scheme`,
      )
    },
  }
}

const FIRST_PARTY: FirstPartyVerdict = { isFirstParty: true }

/**
 * Returns a predicate for the server's own `Host` headers.
 *
 * @param own the host of APP_URL, and APP_HOSTS: names, and domains as `*.example.org`
 */
export function createHostCheck(own: readonly string[]): (named: string) => boolean {
  const names = new Set(own.map(host => host.toLowerCase()))
  const domains = [...names].filter(host => host.startsWith('*.')).map(host => host.slice(1))
  return named => {
    const host = named.replace(/:\d*$/, '').toLowerCase()
    return names.has(host) || domains.some(domain => host.endsWith(domain))
  }
}

/**
 * Whether hosts under a public suffix match a pattern, so that a stranger can register one: no registrable domain
 * follows its last wildcard.
 */
export function matchesPublicSuffix(pattern: string): boolean {
  const host = parsePattern(pattern).host.replace(/:[\d*]*$/, '')
  if (!host.includes('*')) return false
  const rest = host.slice(host.lastIndexOf('*') + 1)
  const domain = tldts().getDomain(`a${rest}`, { allowPrivateDomains: true })
  return domain === null || !rest.endsWith(`.${domain}`)
}

/**
 * Whether a pattern can match the host that a browser serializes: without the default port, and with IPv6 addresses
 * in their shortest form.
 */
export function isCanonicalPattern(pattern: string): boolean {
  const { scheme, host } = parsePattern(pattern)
  if (host === CURRENT_HOST || host.includes('*')) return true
  return (scheme === '' ? ['http:', 'https:'] : [scheme]).every(
    protocol => URL.canParse(`${protocol}//${host}`) && new URL(`${protocol}//${host}`).host === host,
  )
}

const refuse = (reason: string): FirstPartyVerdict => ({ isFirstParty: false, reason })

function ownOrigins(own: URL): string[] {
  const { protocol, port, origin } = own
  if (!LOOPBACK.has(own.hostname)) return [origin]
  return [...LOOPBACK].map(name => `${protocol}//${name}${port && `:${port}`}`)
}

/** Parses the URL of a page; null unless browsers serialize it so. Without a scheme it is a host, as in Sanctum. */
function parsePage(page: string, scheme = 'http:'): URL | null {
  const text = page.includes('://') ? page : `${scheme}//${page}`
  if (page === 'null' || !URL.canParse(text)) return null
  const url = new URL(text)
  const rest = text.slice(url.origin.length)
  const isCanonical = text.startsWith(url.origin) && (rest === '' || /^[/?#]/.test(rest))
  const isWeb = url.protocol === 'http:' || url.protocol === 'https:'
  return isWeb && isCanonical && url.host.length <= MAX_HOST ? url : null
}

/** The origin of a page for the log. Path and query may be private. */
const describePage = (page: string) => parsePage(page)?.origin ?? '(not a URL that a browser writes)'

type Matcher = (page: URL, requestHost: string) => boolean

/**
 * The scheme of a pattern (empty for none) and its host in lower case. An IPv6 address without brackets has no port.
 */
function parsePattern(pattern: string): { scheme: string; host: string } {
  const [, scheme = '', rest = ''] = /^(?:(https?:)\/\/)?(.*)$/i.exec(pattern) ?? []
  const host = rest === CURRENT_HOST ? rest : rest.toLowerCase()
  const hasPort = host.startsWith('[') || host.split(':').length <= 2
  return { scheme: scheme.toLowerCase(), host: hasPort ? host : `[${host}]` }
}

function createMatcher(pattern: string, ownScheme: string): Matcher {
  const { scheme, host } = parsePattern(pattern)
  const allows = ({ protocol }: URL) => protocol === (scheme || ownScheme)
  if (host === CURRENT_HOST) return (page, requestHost) => allows(page) && isHost(page, requestHost)
  if (!host.includes('*')) return page => allows(page) && page.host === host
  const glob = new RegExp(`^${host.split('*').map(escapeRegExp).join('.*')}$`)
  return page => allows(page) && glob.test(page.host)
}

/** Whether a page is on the request's host, with or without the default port. */
function isHost(page: URL | null, host: string): boolean {
  const named = `${page?.protocol}//${host}`
  return page !== null && URL.canParse(named) && new URL(named).host === page.host
}

const escapeRegExp = (text: string) => text.replace(/[.[\]:-]/g, '\\$&')
