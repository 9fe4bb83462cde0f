import { isIP } from 'node:net'
import { getDomain } from 'tldts'
import { isAddressOrRange } from '#src/auth/address-list.ts'
import { isLoopback, isOpenToAnybody, isWritten } from '#src/auth/origin.ts'
import { SECURITY_MAIL_NAMES, type SecurityMail } from '#src/auth/security-mails.ts'
import { CSRF_COOKIE, REMEMBER_COOKIE } from '#src/auth/session-cookies.ts'
import { DEFAULT_CONNECTIONS, LEAST_CONNECTIONS } from '#src/runtime/connection-shares.ts'

/** What a value may be. Thrown by a setting's parser, turned into one line of {@link ConfigError}. */
class Expected extends Error {}

/** One environment variable: how it is documented, and how its text becomes a value. */
export interface Setting<T> {
  name: string
  /** The text that stands in for an absent variable; null when there is none. */
  fallback: string | null
  /** The default as documented, where it is not simply `fallback`. */
  defaultNote?: string
  about: string
  /** Its value is never printed. */
  secret?: boolean
  /** Whether `NAME=` with nothing behind it is a value of its own, and not the same as absent. */
  emptyIsValue?: boolean
  parse(text: string): T
}

const setting = <T>(definition: Setting<T>) => definition

const oneOf =
  <T extends string>(...values: T[]) =>
  (text: string): T => {
    const value = values.find(candidate => candidate === text)
    if (value === undefined) throw new Expected(`one of ${values.join(', ')}`)
    return value
  }

const wholeNumber = (least: number, most: number) => (text: string) => {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= least && value <= most)) throw new Expected(`a whole number from ${least} to ${most}`)
  return value
}

const list = (text: string) =>
  text
    .split(',')
    .map(item => item.trim())
    .filter(item => item !== '')

const nullable =
  <T>(parse: (text: string) => T) =>
  (text: string): T | null =>
    text === 'null' ? null : parse(text)

const yesOrNo = (text: string) => oneOf('true', 'false')(text) === 'true'

const onOrOff = (text: string) => oneOf('on', 'off')(text) === 'on'

const listOf =
  (expectation: string, accepts: (item: string) => boolean) =>
  (text: string): readonly string[] => {
    const items = list(text)
    const wrong = items.find(item => !accepts(item))
    if (wrong !== undefined) throw new Expected(`${expectation} (not "${wrong}")`)
    return Object.freeze(items)
  }

function url(text: string, protocols: readonly string[]) {
  const parsed = URL.canParse(text) ? new URL(text) : null
  if (parsed === null || !protocols.includes(parsed.protocol)) {
    throw new Expected(`a URL starting with ${protocols.map(protocol => `${protocol}//`).join(' or ')}`)
  }
  return parsed
}

/** A URL that others read, and stays the text that it is. */
const urlText =
  (...protocols: string[]) =>
  (text: string): string => {
    url(text, protocols)
    return text
  }

const webAddress = (text: string) => url(text, ['http:', 'https:'])

/** A URL path without its trailing slash: the root is the empty string, ready to be a prefix. */
function pathPrefix(text: string) {
  if (!/^(\/[\w.~-]+)*\/?$/.test(text) || text === '') {
    throw new Expected('a path such as /api, or / for the root')
  }
  return text.replace(/\/$/, '')
}

/** APP_KEY as Laravel writes it: `base64:` before 32 bytes in base64, or 32 plain characters. */
export class AppKey {
  /** The text as configured: what Laravel signs URLs with. */
  readonly #text: string
  /** The 32 bytes behind it: what Laravel encrypts with. */
  readonly #bytes: Buffer

  constructor(text: string) {
    const bytes = text.startsWith('base64:') ? Buffer.from(text.slice(7), 'base64') : Buffer.from(text)
    if (bytes.length !== 32) {
      throw new Expected('base64: and then 32 bytes in base64 (make one with: openssl rand -base64 32)')
    }
    this.#text = text
    this.#bytes = bytes
  }

  get text() {
    return this.#text
  }

  get bytes() {
    return this.#bytes
  }

  /** Whether it repeats itself as no random key does: 32 random bytes hold about 30 different ones. */
  get isWeak() {
    return new Set(this.#bytes).size < 12
  }

  toJSON() {
    return '[secret]'
  }
}

/** Every variable that the server reads, in the order of the documentation. */
export const SETTINGS = {
  host: setting({
    name: 'HOST',
    fallback: '127.0.0.1',
    about: 'Address to listen on.',
    parse: text => {
      if (isIP(text) === 0 && !/^[\w-]+(\.[\w-]+)*$/.test(text)) {
        throw new Expected('an address such as 0.0.0.0, or a name such as localhost')
      }
      return text
    },
  }),
  port: setting({
    name: 'PORT',
    fallback: '8000',
    about: 'Port to listen on; 0 takes a free one.',
    parse: wholeNumber(0, 65_535),
  }),
  appEnv: setting<'local' | 'production' | null>({
    name: 'APP_ENV',
    fallback: null,
    defaultNote: '`local` on the embedded database, else `production`',
    about: 'What `production` adds: other hosts than ours are refused, and so are unsafe settings.',
    parse: oneOf('local', 'production'),
  }),
  appUrl: setting<URL | null>({
    name: 'APP_URL',
    fallback: null,
    defaultNote: '`http://HOST:PORT`',
    about: 'The address under which the outside world reaches this server.',
    parse: webAddress,
  }),
  allowInsecureHttp: setting({
    name: 'ALLOW_INSECURE_HTTP',
    fallback: 'false',
    about:
      '`true` to let `APP_URL` be on plain HTTP in production, where anybody on the way can read passwords, tokens and cookies.',
    parse: yesOrNo,
  }),
  hstsMaxAge: setting({
    name: 'HSTS_MAX_AGE',
    fallback: '31536000',
    about:
      "Seconds for which browsers are told to call `APP_URL`'s host over HTTPS alone, if it is on HTTPS; 0 takes that back.",
    parse: wholeNumber(0, 315_360_000),
  }),
  hstsIncludeSubdomains: setting({
    name: 'HSTS_INCLUDE_SUBDOMAINS',
    fallback: 'false',
    about: 'Whether the same is so for all of its subdomains, which must all have HTTPS: `true` or `false`.',
    parse: yesOrNo,
  }),
  hstsPreload: setting({
    name: 'HSTS_PRELOAD',
    fallback: 'false',
    about:
      'Whether browsers may have the host in their lists from the beginning (hstspreload.org): `true` or `false`. Hard to take back.',
    parse: yesOrNo,
  }),
  appHosts: setting({
    name: 'APP_HOSTS',
    fallback: '',
    about:
      "Further host names that requests may name, comma-separated; `*.example.org` for all of a domain's.",
    parse: listOf('host names such as api.example.org, without scheme and port', item =>
      /^(\*\.)?[\w.-]+$|^\[[0-9a-f:.]+\]$/i.test(item),
    ),
  }),
  appKey: setting<AppKey | null>({
    name: 'APP_KEY',
    fallback: null,
    defaultNote: 'generated into `DATA_DIR` on the embedded database, required otherwise',
    about: "Laravel's application key, `base64:…` of 32 bytes.",
    secret: true,
    parse: text => new AppKey(text),
  }),
  appPreviousKeys: setting<readonly AppKey[]>({
    name: 'APP_PREVIOUS_KEYS',
    fallback: '',
    defaultNote: 'none',
    about:
      'Earlier keys, comma-separated: what was encrypted and signed with them is still read, and nothing new is.',
    secret: true,
    parse: text => Object.freeze(list(text).map(key => new AppKey(key))),
  }),
  appName: setting({
    name: 'APP_NAME',
    fallback: 'AnimeThemes',
    about: 'What mails and authenticator apps call this place.',
    parse: text => {
      if (!/^[^\p{Cc}:]{1,60}$/u.test(text)) throw new Expected('at most 60 characters, none of them a colon')
      return text
    },
  }),
  databaseUrl: setting<string | null>({
    name: 'DATABASE_URL',
    fallback: null,
    defaultNote: 'the embedded database',
    about: '`postgres://user:password@host:5432/database`.',
    secret: true,
    parse: urlText('postgres:', 'postgresql:'),
  }),
  databaseListenUrl: setting<string | null>({
    name: 'DATABASE_LISTEN_URL',
    fallback: null,
    defaultNote: '`DATABASE_URL`',
    about:
      'The same database past a pooler such as PgBouncer, which passes on no notifications; for `IDENTITY_CACHE`.',
    secret: true,
    parse: urlText('postgres:', 'postgresql:'),
  }),
  databasePrepare: setting({
    name: 'DATABASE_PREPARE',
    fallback: 'on',
    about:
      'Whether statements are prepared: `off` behind a pooler that gives connections to others after each transaction and does not keep them, such as PgBouncer before 1.21.',
    parse: onOrOff,
  }),
  databaseConnections: setting({
    name: 'DATABASE_CONNECTIONS',
    fallback: String(DEFAULT_CONNECTIONS),
    about:
      'The most connections to `DATABASE_URL` at once; `IDENTITY_CACHE` takes one more. A fifth is kept for finding out who calls, a fifth for logins, and three tenths are the most that lists may take.',
    parse: wholeNumber(LEAST_CONNECTIONS, 1_000),
  }),
  requestTimeout: setting({
    name: 'REQUEST_TIMEOUT',
    fallback: '30',
    about: 'Seconds after which a request is answered with 503, if it was not answered before.',
    parse: wholeNumber(1, 3_600),
  }),
  shutdownDelay: setting({
    name: 'SHUTDOWN_DELAY',
    fallback: '0',
    about:
      'Seconds for which a server that was told to stop still accepts connections, while `/health/ready` returns 503: as long as a load balancer takes to notice. Requests under way then have 10 seconds more.',
    parse: wholeNumber(0, 600),
  }),
  dataDir: setting({
    name: 'DATA_DIR',
    fallback: './.data',
    about: 'Folder of the embedded database and the generated key.',
    parse: text => text,
  }),
  identityCache: setting({
    name: 'IDENTITY_CACHE',
    fallback: 'off',
    about:
      '`on` to remember for up to a minute who is calling, as long as the database tells of every change; `off` to ask it each time.',
    parse: onOrOff,
  }),
  redisUrl: setting<string | null>({
    name: 'REDIS_URL',
    fallback: null,
    defaultNote: 'counters in memory',
    about:
      '`redis://host:6379` or `rediss://…`: requests and wrong tokens are then counted over all instances together. Attempts at logins, codes and registrations always are, in the database.',
    secret: true,
    parse: urlText('redis:', 'rediss:'),
  }),
  apiPath: setting({
    name: 'API_PATH',
    fallback: '/api',
    about: 'Where the API is mounted.',
    parse: pathPrefix,
  }),
  authPath: setting({
    name: 'AUTH_PATH',
    fallback: '/',
    about: 'Where login and its relatives are mounted.',
    parse: pathPrefix,
  }),
  frontendUrl: setting<URL | null>({
    name: 'FRONTEND_URL',
    fallback: null,
    defaultNote: '`http://localhost:3000` locally, else `APP_URL`; required with `MAIL_URL` in production',
    about: 'The website: where the browser lands after its e-mail address was verified.',
    parse: webAddress,
  }),
  loginUrl: setting<URL | null>({
    name: 'WIKI_LOGIN',
    fallback: null,
    defaultNote: '`FRONTEND_URL/login`',
    about: "The website's page for logging in: for whoever opens a mail's link in a browser that is not.",
    parse: webAddress,
  }),
  resetPasswordUrl: setting<URL | null>({
    name: 'WIKI_RESET_PASSWORD',
    fallback: null,
    defaultNote: '`FRONTEND_URL/reset-password`',
    about:
      "The website's page for a new password: a mail leads there, with the token as `?token=`, and the page asks for the address as well, unless the panel was asked, which has a page of its own.",
    parse: webAddress,
  }),
  changePasswordUrl: setting<URL | null>({
    name: 'WIKI_CHANGE_PASSWORD',
    fallback: null,
    defaultNote: "the panel's page, `APP_URL/admin/password`",
    about:
      "The website's page where users change their passwords: `/.well-known/change-password` leads there, by which password managers find it.",
    parse: webAddress,
  }),
  securityContact: setting({
    name: 'SECURITY_CONTACT',
    fallback: '',
    defaultNote: 'no `security.txt`',
    about:
      'Whom to tell of security faults, for `/.well-known/security.txt`: `mailto:`, `https:` and `tel:` URIs, comma-separated, the preferred one first. Mails name that to users who need help.',
    parse: listOf(
      'mailto:, https: or tel: URIs such as mailto:security@example.org, without spaces',
      item => /^(mailto:[^\s@]+@[^\s@]+|https:\/\/\S+|tel:\+?[\d.()-]+)$/i.test(item) && URL.canParse(item),
    ),
  }),
  mailUrl: setting<string | null>({
    name: 'MAIL_URL',
    fallback: null,
    defaultNote: 'mails are written to the log; in production without their text',
    about: '`smtp://user:password@host:587` or `smtps://…:465`: the server that sends mail.',
    secret: true,
    parse: urlText('smtp:', 'smtps:'),
  }),
  mailFrom: setting<string | null>({
    name: 'MAIL_FROM',
    fallback: null,
    defaultNote: 'required with `MAIL_URL`',
    about: 'The sender of mails: an address, or `AnimeThemes <no-reply@example.org>`.',
    parse: text => {
      if (!/^([^<>\p{Cc}]*<)?[^\s<>@,]+@[^\s<>@,]+>?$/u.test(text)) {
        throw new Expected('an address such as AnimeThemes <no-reply@example.org>')
      }
      return text
    },
  }),
  mailSecurityEvents: setting<ReadonlySet<SecurityMail>>({
    name: 'MAIL_SECURITY_EVENTS',
    fallback: 'all',
    about: `Which mails tell users what happened to their accounts: \`all\`, \`none\`, or some of ${SECURITY_MAIL_NAMES.map(name => `\`${name}\``).join(', ')}, comma-separated. Links that somebody asked for are always sent, and so is the one that brings an old e-mail address back.`,
    parse: text => {
      if (text === 'all') return new Set(SECURITY_MAIL_NAMES)
      const names = text === 'none' ? [] : list(text)
      const isKnown = (name: string): name is SecurityMail =>
        SECURITY_MAIL_NAMES.some(known => known === name)
      const unknown = names.find(name => !isKnown(name))
      if (unknown !== undefined) {
        throw new Expected(
          `all or none alone, or some of ${SECURITY_MAIL_NAMES.join(', ')} (not "${unknown}")`,
        )
      }
      return new Set(names.filter(isKnown))
    },
  }),
  statefulDomains: setting<readonly string[] | null>({
    name: 'SANCTUM_STATEFUL_DOMAINS',
    fallback: null,
    defaultNote:
      '`localhost,localhost:3000,127.0.0.1,127.0.0.1:8000,::1` if APP_URL is on this machine, else none',
    about:
      "First-party origins beside APP_URL's, whose browsers get a session: `[scheme://]host[:port]` with `*` as a wildcard, comma-separated; empty for none. APP_URL's scheme is meant unless one is given.",
    emptyIsValue: true,
    parse: listOf(
      'hosts such as localhost:3000, *.example.org or https://www.example.org, as browsers write them: without a path, without :80 and :443, and [::1]',
      item => /^(https?:\/\/)?[\w.*:[\]-]+$/.test(item) && isWritten(item),
    ),
  }),
  corsAllowedOrigins: setting({
    name: 'CORS_ALLOWED_ORIGINS',
    fallback: '',
    defaultNote: 'none',
    about:
      'Further origins whose scripts may read answers, with cookies; `*` for all others, without cookies. First-party origins always may.',
    parse: listOf(
      'origins such as https://app.example.org, without a path',
      item => item === '*' || (URL.canParse(item) && new URL(item).origin === item),
    ),
  }),
  sessionCookie: setting({
    name: 'SESSION_COOKIE',
    fallback: 'animethemes_session',
    about:
      'Name of the session cookie. Over HTTPS and without SESSION_DOMAIN it gets the prefix `__Host-`, which no subdomain can forge.',
    parse: text => {
      if (!/^(?!__)[\w.-]{1,64}$/.test(text) || text === CSRF_COOKIE || text === REMEMBER_COOKIE) {
        throw new Expected(
          `at most 64 letters, digits, _, . or -, no prefix such as __Host-, and neither ${CSRF_COOKIE} nor ${REMEMBER_COOKIE}, which are other cookies`,
        )
      }
      return text
    },
  }),
  sessionDomain: setting<string | null>({
    name: 'SESSION_DOMAIN',
    fallback: null,
    defaultNote: "APP_URL's host alone",
    about: 'Domain whose hosts all get the cookies, such as `.example.org`; `null` for none.',
    parse: nullable(text => {
      if (!/^\.?[\w-]+(\.[\w-]+)*$/.test(text)) throw new Expected('a domain such as .example.org')
      return text.toLowerCase()
    }),
  }),
  sessionSecure: setting<boolean | null>({
    name: 'SESSION_SECURE_COOKIE',
    fallback: null,
    defaultNote: 'whether APP_URL is HTTPS',
    about: 'Whether the cookies are for HTTPS alone: `true` or `false`.',
    parse: nullable(yesOrNo),
  }),
  sessionSameSite: setting({
    name: 'SESSION_SAME_SITE',
    fallback: 'lax',
    about: '`lax`, `strict`, or `none` for pages of other sites, which needs HTTPS.',
    parse: oneOf('lax', 'strict', 'none'),
  }),
  sessionPartitioned: setting({
    name: 'SESSION_PARTITIONED_COOKIE',
    fallback: 'false',
    about: 'Whether the cookies are kept apart for each site that embeds us (CHIPS); needs HTTPS.',
    parse: yesOrNo,
  }),
  sessionLifetime: setting({
    name: 'SESSION_LIFETIME',
    fallback: '120',
    about: 'Minutes without a request after which a session ends.',
    parse: wholeNumber(1, 525_600),
  }),
  sessionAbsoluteLifetime: setting<number | null>({
    name: 'SESSION_ABSOLUTE_LIFETIME',
    fallback: '43200',
    about:
      'Minutes after login at which a session ends, however busy it is: 43200 are 30 days; `null` for no limit but the 400 days after which any login takes the password again.',
    parse: nullable(wholeNumber(1, 5_256_000)),
  }),
  csrfMode: setting({
    name: 'CSRF_MODE',
    fallback: 'token',
    about:
      "`token`, or `origin-only`: then changes come from APP_URL's own pages alone, by what the browser says in `Sec-Fetch-Site`.",
    parse: oneOf('token', 'origin-only'),
  }),
  tokenExpiration: setting<number | null>({
    name: 'SANCTUM_EXPIRATION',
    fallback: '525600',
    about:
      'Minutes after its creation at which any token ends, whatever its own date; `0` or `null` for never.',
    parse: text => {
      if (text === 'null' || text === '0') return null
      try {
        return wholeNumber(1, 1_000_000_000)(text)
      } catch {
        throw new Expected('a whole number of minutes, or null for no limit')
      }
    },
  }),
  tokenIdleExpiration: setting<number | null>({
    name: 'SANCTUM_IDLE_EXPIRATION',
    fallback: null,
    defaultNote: 'never',
    about: 'Minutes without use after which a token ends, five at least; `null` for never.',
    parse: nullable(wholeNumber(5, 1_000_000_000)),
  }),
  leakedTokens: setting({
    name: 'LEAKED_TOKENS',
    fallback: 'off',
    about: '`on` to let anybody who has found a token revoke it, by `POST /leaked-token` under API_PATH.',
    parse: onOrOff,
  }),
  tokenPrefix: setting({
    name: 'SANCTUM_TOKEN_PREFIX',
    fallback: '',
    about: "Put before a new token's secret, so that scanners of leaked secrets recognise it.",
    parse: text => {
      if (!/^[\w-]{0,40}$/.test(text)) throw new Expected('at most 40 letters, digits, _ or -')
      return text
    },
  }),
  tokenAbilities: setting({
    name: 'TOKEN_ABILITIES',
    fallback: 'on',
    about: '`off` to let every token do everything, whatever its abilities, as AnimeThemes does.',
    parse: onOrOff,
  }),
  tokensPerUser: setting({
    name: 'TOKENS_PER_USER',
    fallback: '500',
    about: 'Tokens that a user can have.',
    parse: wholeNumber(1, 1_000_000),
  }),
  tokenableTypes: setting({
    name: 'SANCTUM_TOKENABLE_TYPES',
    fallback: 'App\\Models\\Auth\\User,App\\Models\\User',
    about: 'Class names that mean a user in Laravel\'s "type" columns; new rows get the first.',
    parse: text => {
      const [first, ...others] = list(text)
      if (first === undefined) throw new Expected('at least one class name')
      return Object.freeze([first, ...others] as const)
    },
  }),
  rateLimitAuthenticated: setting({
    name: 'RATE_LIMIT_AUTHENTICATED',
    fallback: '90',
    about: 'Requests a minute for each user, to the API, the login and the panel together.',
    parse: wholeNumber(1, 1_000_000),
  }),
  rateLimitAnonymous: setting({
    name: 'RATE_LIMIT_ANONYMOUS',
    fallback: '90',
    about: 'The same for each address without a user.',
    parse: wholeNumber(1, 1_000_000),
  }),
  rateLimitFailedAuth: setting({
    name: 'RATE_LIMIT_FAILED_AUTH',
    fallback: '60',
    about: 'Wrong credentials a minute for each address.',
    parse: wholeNumber(1, 1_000_000),
  }),
  loginRateLimit: setting({
    name: 'LOGIN_RATE_LIMIT',
    fallback: '5',
    about:
      'Logins a minute for each account from one address, right ones included; four times that for each address.',
    parse: wholeNumber(1, 1_000_000),
  }),
  loginFailureLimit: setting({
    name: 'LOGIN_FAILURE_LIMIT',
    fallback: '100',
    about:
      'Wrong passwords an hour for each account; beyond it only addresses that logged in to the account before can try.',
    parse: wholeNumber(1, 1_000_000),
  }),
  confirmPasswordRateLimit: setting({
    name: 'CONFIRM_PASSWORD_RATE_LIMIT',
    fallback: '5',
    about:
      'How often a minute somebody who is logged in may enter the password again, from one address; four times that for each address.',
    parse: wholeNumber(1, 1_000_000),
  }),
  twoFactorRateLimit: setting({
    name: 'TWO_FACTOR_RATE_LIMIT',
    fallback: '5',
    about:
      'Codes of second factors a minute for each account from one address; four times that for each address, and as many wrong ones an hour for each account from everywhere.',
    parse: wholeNumber(1, 1_000_000),
  }),
  twoFactorDisableNeedsCode: setting({
    name: 'TWO_FACTOR_DISABLE_NEEDS_CODE',
    fallback: 'true',
    about:
      'Whether disabling a confirmed second factor takes one of its codes or recovery codes besides the password: `true`, or `false` for clients of Fortify that send none.',
    parse: yesOrNo,
  }),
  registerRateLimit: setting({
    name: 'REGISTER_RATE_LIMIT',
    fallback: '5',
    about:
      'Registrations a minute for each e-mail address from one address; four times that for each address, and as many new accounts an hour.',
    parse: wholeNumber(1, 1_000_000),
  }),
  forgotPasswordRateLimit: setting({
    name: 'FORGOT_PASSWORD_RATE_LIMIT',
    fallback: '5',
    about:
      'Requests for a reset link, and resets, a minute for each account from one address; four times that for each address. Nobody gets more than one such mail a minute and five an hour.',
    parse: wholeNumber(1, 1_000_000),
  }),
  revealUnknownEmail: setting({
    name: 'REVEAL_UNKNOWN_EMAIL',
    fallback: 'false',
    about:
      '`true` to tell whoever forgot a password whether there is such an account, as Laravel does; `false` to answer everybody alike.',
    parse: yesOrNo,
  }),
  registerReveals: setting({
    name: 'REGISTER_REVEALS',
    fallback: 'true',
    about:
      '`true` to tell whoever registers, or changes an e-mail address, that it is taken, as Laravel does; `false` to answer everybody alike: a mail then brings the link to choose a password, or tells the owner of the address, and nobody is logged in before.',
    parse: yesOrNo,
  }),
  emailChange: setting({
    name: 'EMAIL_CHANGE',
    fallback: 'confirmed',
    about:
      '`confirmed`: another e-mail address takes a confirmed password, counts once the link mailed to it is opened, and can be reverted from the old one for seven days; `immediate`: it counts at once, unverified, as in AnimeThemes. An address that was never verified changes at once in any case.',
    parse: oneOf('confirmed', 'immediate'),
  }),
  confirmEmailChange: setting({
    name: 'CONFIRM_EMAIL_CHANGE',
    fallback: 'false',
    about:
      'Whether an e-mail address that changes at once takes a password that was confirmed lately: `true` or `false`.',
    parse: yesOrNo,
  }),
  requireSecondFactor: setting({
    name: 'REQUIRE_SECOND_FACTOR',
    fallback: 'none',
    about:
      'Who has to have a confirmed second factor, and reaches nothing but its set-up before: `staff` for holders of `view filament`, `all`, or `none`.',
    parse: oneOf('none', 'staff', 'all'),
  }),
  commonPasswords: setting({
    name: 'COMMON_PASSWORDS',
    fallback: 'on',
    about:
      'Whether a new password is looked for in a list of 49,000 common ones: `on` or `off`. What repeats itself, and what is like the name or the address of the user or of the site, is refused in any case.',
    parse: onOrOff,
  }),
  breachedPasswordsUrl: setting<string | null>({
    name: 'BREACHED_PASSWORDS_URL',
    fallback: null,
    defaultNote: 'not asked',
    about:
      'Asked whether a new password is in a list of leaked ones, by five digits of its hash: `https://api.pwnedpasswords.com/range/`. Without an answer the password passes.',
    parse: urlText('http:', 'https:'),
  }),
  moderationUrl: setting<string | null>({
    name: 'MODERATION_URL',
    fallback: null,
    defaultNote: 'not asked',
    about:
      'Asked whether a user name is fit to be seen: `https://api.openai.com/v1/moderations`. Without an answer the name passes.',
    parse: urlText('http:', 'https:'),
  }),
  moderationToken: setting<string | null>({
    name: 'MODERATION_TOKEN',
    fallback: null,
    defaultNote: 'none',
    about: 'The bearer token for `MODERATION_URL`.',
    secret: true,
    parse: text => {
      if (!/^[!-~]+$/.test(text)) throw new Expected('a token of ASCII characters without white space')
      return text
    },
  }),
  revokeTokensOnPasswordReset: setting({
    name: 'REVOKE_TOKENS_ON_PASSWORD_RESET',
    fallback: 'true',
    about:
      "Whether a password that was reset by mail also revokes its user's tokens: `true` or `false`. Sessions end in any case, and so does everything of an account that was never verified; a request can ask for either by `revoke_tokens`.",
    parse: yesOrNo,
  }),
  revokeTokensOnPasswordChange: setting({
    name: 'REVOKE_TOKENS_ON_PASSWORD_CHANGE',
    fallback: 'false',
    about:
      "Whether a changed password also revokes its user's tokens: `true` or `false`. Other sessions end in any case; a request can ask for it by `revoke_tokens`.",
    parse: yesOrNo,
  }),
  trustedProxies: setting({
    name: 'TRUSTED_PROXIES',
    fallback: '',
    defaultNote: 'none',
    about:
      'Addresses or ranges whose `X-Forwarded-*` headers are believed; `loopback` and `uniquelocal` name ranges.',
    parse: listOf(
      'addresses, ranges such as 10.0.0.0/8, or loopback, linklocal, uniquelocal',
      item => ['*', 'loopback', 'linklocal', 'uniquelocal'].includes(item) || isAddressOrRange(item),
    ),
  }),
  localIps: setting({
    name: 'LOCAL_IPS',
    fallback: '',
    defaultNote: 'none',
    about:
      'Addresses or ranges of our own machines: not limited, and believed when they pass on `x-forwarded-ip`.',
    parse: listOf('addresses or ranges such as 10.0.0.0/8', isAddressOrRange),
  }),
  hidePrivate: setting({
    name: 'HIDE_PRIVATE',
    fallback: 'on',
    about:
      "Whether private playlists and external profiles of others, and all below them, are 404 as if they were not there; `off` for AnimeThemes' 403, which tells that they are.",
    parse: onOrOff,
  }),
  playlistsPerUser: setting({
    name: 'USER_MAX_PLAYLISTS',
    fallback: '1000',
    about: 'Playlists that a user can have.',
    parse: wholeNumber(0, 1_000_000),
  }),
  tracksPerPlaylist: setting({
    name: 'PLAYLIST_MAX_TRACKS',
    fallback: '1000',
    about: 'Tracks that a playlist can have.',
    parse: wholeNumber(0, 1_000_000),
  }),
  externalProfilesPerUser: setting({
    name: 'USER_MAX_PROFILES',
    fallback: '5',
    about: 'External profiles that a user can have.',
    parse: wholeNumber(0, 1_000_000),
  }),
  externalProfilesLocalOnly: setting({
    name: 'EXTERNAL_PROFILES_LOCAL_ONLY',
    fallback: 'false',
    about:
      'Whether external profiles are for our own machines alone, those of `LOCAL_IPS`: `true` or `false`. `/me/externalprofile` is for everybody all the same.',
    parse: yesOrNo,
  }),
  videoUrl: setting<string | null>({
    name: 'VIDEO_URL',
    fallback: null,
    defaultNote: 'no links',
    about: "Where the wiki's videos can be seen, for their links: their names are put behind it.",
    parse: urlText('http:', 'https:'),
  }),
  audioUrl: setting<string | null>({
    name: 'AUDIO_URL',
    fallback: null,
    defaultNote: 'no links',
    about: 'The same for its audio.',
    parse: urlText('http:', 'https:'),
  }),
  imageUrl: setting<string | null>({
    name: 'IMAGE_URL',
    fallback: null,
    defaultNote: 'no links',
    about: 'The same for its images, whose paths are put behind it.',
    parse: urlText('http:', 'https:'),
  }),
  hashidsSalt: setting({
    name: 'HASHIDS_SALT_PLAYLISTS',
    fallback: '',
    about: 'Salt of the ids of new playlists and tracks; the one that Laravel has, to have the same.',
    secret: true,
    parse: text => text,
  }),
  hashRounds: setting({
    name: 'HASH_ROUNDS',
    fallback: '12',
    about: 'Cost of new bcrypt password hashes.',
    parse: wholeNumber(4, 20),
  }),
  logLevel: setting({
    name: 'LOG_LEVEL',
    fallback: 'info',
    about: '`fatal`, `error`, `warn`, `info`, `debug`, `trace` or `silent`.',
    parse: oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
  }),
  logRequests: setting({
    name: 'LOG_REQUESTS',
    fallback: 'all',
    about:
      'Which requests get a line in the log: `all`, `errors` for answers of 400 and above, or a share such as `0.01` besides those.',
    parse: text => {
      if (text === 'all') return 1
      if (text === 'errors') return 0
      const share = /^(0?\.\d{1,6}|0|1)$/.test(text) ? Number(text) : Number.NaN
      if (Number.isNaN(share)) throw new Expected('all, errors, or a share from 0 to 1')
      return share
    },
  }),
  metricsToken: setting<string | null>({
    name: 'METRICS_TOKEN',
    fallback: null,
    defaultNote: 'none',
    about:
      'The bearer token that `/metrics` takes, of 16 characters at least. Without it and `METRICS_PORT` there are no metrics, except for the machine itself in `APP_ENV=local`.',
    secret: true,
    parse: text => {
      if (!/^[!-~]{16,}$/.test(text)) {
        throw new Expected('a token of at least 16 ASCII characters without white space')
      }
      return text
    },
  }),
  metricsPort: setting<number | null>({
    name: 'METRICS_PORT',
    fallback: null,
    defaultNote: 'none',
    about:
      'Port on `HOST` that has `/metrics` and nothing else; 0 takes a free one. The metrics are not on `PORT` then. `METRICS_TOKEN` counts here, too.',
    parse: wholeNumber(0, 65_535),
  }),
} as const

type SettingName = keyof typeof SETTINGS
type Values = { [K in SettingName]: (typeof SETTINGS)[K] extends Setting<infer T> ? T : never }

/** What has a value in any case, by what else is set. */
type Derived =
  | 'appEnv'
  | 'appUrl'
  | 'frontendUrl'
  | 'loginUrl'
  | 'resetPasswordUrl'
  | 'changePasswordUrl'
  | 'statefulDomains'
  | 'sessionSecure'

/** The environment, validated. `apiPath` and `authPath` are prefixes: the root is the empty string. */
export interface Config extends Omit<Values, Derived> {
  appEnv: 'local' | 'production'
  appUrl: URL
  frontendUrl: URL
  loginUrl: URL
  resetPasswordUrl: URL
  changePasswordUrl: URL
  statefulDomains: readonly string[]
  sessionSecure: boolean
}

/** One line for each variable that keeps the server from starting. */
export class ConfigError extends Error {
  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'ConfigError'
  }
}

/**
 * Sanctum's default. A page on a developer's own machine is a first party of a server there, and of no other: programs
 * that somebody has installed can serve pages from localhost as well.
 */
const LOCAL_FIRST_PARTIES = ['localhost', 'localhost:3000', '127.0.0.1', '127.0.0.1:8000', '::1']

/** Where the panel is. */
export const PANEL_PATH = '/admin'

/** The panel's page on which users change their own passwords. */
const CHANGE_PASSWORD_PATH = `${PANEL_PATH}/password`

/** What the server serves beside the API and the login, always at the root. */
export const SYSTEM_PATHS: readonly string[] = [
  '/health',
  '/metrics',
  '/docs',
  '/openapi.json',
  '/sanctum',
  '/.well-known',
  PANEL_PATH,
]

/**
 * Validates environment variables into one frozen object.
 *
 * @throws {ConfigError} naming every variable at fault, its value (unless it is a secret) and what is expected
 */
export function loadConfig(environment: Record<string, string | undefined>): Config {
  const problems: string[] = []

  const read = <T>({ name, fallback, secret, emptyIsValue, parse }: Setting<T>): T | null => {
    const given = environment[name]
    const text = given === undefined || (given === '' && !emptyIsValue) ? fallback : given
    if (text === null) return null
    try {
      return parse(text)
    } catch (error) {
      if (!(error instanceof Expected)) throw error
      problems.push(`${name}${secret ? '' : `=${text}`}: expected ${error.message}`)
      return null
    }
  }

  const values = Object.fromEntries(
    Object.entries(SETTINGS).map(([key, definition]) => [key, read(definition as Setting<unknown>)]),
  ) as Values
  if (problems.length > 0) throw new ConfigError(problems)

  const appEnv = values.appEnv ?? (values.databaseUrl === null ? 'local' : 'production')
  const appUrl = values.appUrl ?? new URL(`http://${urlHost(values.host)}:${values.port}`)
  const frontendUrl = values.frontendUrl ?? (appEnv === 'local' ? new URL('http://localhost:3000') : appUrl)
  const config: Config = {
    ...values,
    appEnv,
    appUrl,
    frontendUrl,
    loginUrl: values.loginUrl ?? pageOf(frontendUrl, 'login'),
    resetPasswordUrl: values.resetPasswordUrl ?? pageOf(frontendUrl, 'reset-password'),
    statefulDomains: values.statefulDomains ?? Object.freeze(isLoopback(appUrl) ? LOCAL_FIRST_PARTIES : []),
    changePasswordUrl: values.changePasswordUrl ?? new URL(CHANGE_PASSWORD_PATH, appUrl),
    sessionSecure: values.sessionSecure ?? appUrl.protocol === 'https:',
  }

  problems.push(...contradictions(config))
  if (appEnv === 'production') problems.push(...dangers(config))
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.freeze(config)
}

/** A page below an address. */
function pageOf(site: URL, page: string) {
  const address = new URL(site)
  address.pathname = `${site.pathname.replace(/\/$/, '')}/${page}`
  return address
}

/** A host as it stands in a URL. A wildcard address is nobody's address: the local name stands in. */
function urlHost(host: string) {
  if (host === '0.0.0.0' || host === '::') return 'localhost'
  return isIP(host) === 6 ? `[${host}]` : host
}

function* contradictions(config: Config) {
  const { apiPath, authPath, databaseUrl, appKey, appUrl } = config
  for (const [name, path] of [
    ['API_PATH', apiPath],
    ['AUTH_PATH', authPath],
  ]) {
    const taken = SYSTEM_PATHS.find(reserved => path === reserved || path?.startsWith(`${reserved}/`))
    if (taken) yield `${name}=${path}: expected a path outside ${taken}, which the server uses itself`
  }
  if (databaseUrl !== null && appKey === null) {
    yield 'APP_KEY is not set: expected with DATABASE_URL, as base64: and then 32 bytes in base64 (make one with: openssl rand -base64 32)'
  }
  if (config.metricsPort !== null && config.metricsPort !== 0 && config.metricsPort === config.port) {
    yield `METRICS_PORT=${config.metricsPort}: expected another port than PORT`
  }
  if (config.mailUrl !== null && config.mailFrom === null) {
    yield 'MAIL_FROM is not set: expected with MAIL_URL, as an address such as AnimeThemes <no-reply@example.org>'
  }
  if (config.mailUrl !== null && config.frontendUrl === appUrl) {
    yield 'FRONTEND_URL is not set: expected with MAIL_URL, as the address of the website, since mails lead to its pages'
  }
  if (!config.registerReveals && config.emailChange === 'immediate') {
    yield 'REGISTER_REVEALS=false: expected EMAIL_CHANGE=confirmed, since an address that changes at once tells whether it was free'
  }
  if (!config.registerReveals && config.revealUnknownEmail) {
    yield 'REGISTER_REVEALS=false: expected REVEAL_UNKNOWN_EMAIL=false, since asking for a new password tells the same'
  }
  if (config.externalProfilesLocalOnly && config.localIps.length === 0) {
    yield 'LOCAL_IPS is not set: expected with EXTERNAL_PROFILES_LOCAL_ONLY=true, since nobody could see external profiles otherwise'
  }
  const domain = config.sessionDomain?.replace(/^\./, '')
  if (domain !== undefined && !`.${appUrl.hostname}`.endsWith(`.${domain}`)) {
    yield `SESSION_DOMAIN=${config.sessionDomain}: expected ${appUrl.hostname}, which is APP_URL's host, or a domain above it, since browsers refuse cookies for others`
  } else if (domain !== undefined && domain !== appUrl.hostname && !isSomebodys(domain, appUrl)) {
    yield `SESSION_DOMAIN=${config.sessionDomain}: expected a domain of somebody's, such as .example.org, since browsers refuse cookies for addresses and for all of ${domain}`
  }
  if (config.csrfMode === 'origin-only' && appUrl.protocol === 'http:' && !isLoopback(appUrl)) {
    yield 'CSRF_MODE=origin-only: expected APP_URL with https://, or on this machine, since browsers do not say elsewhere where a page is from'
  }
  if (config.hstsPreload && !(config.hstsIncludeSubdomains && config.hstsMaxAge >= LEAST_PRELOAD_MAX_AGE)) {
    yield `HSTS_PRELOAD=true: expected HSTS_INCLUDE_SUBDOMAINS=true and HSTS_MAX_AGE of ${LEAST_PRELOAD_MAX_AGE} at least, since the lists of browsers take no other hosts`
  }
  if (!config.sessionSecure && config.sessionSameSite === 'none') {
    yield 'SESSION_SAME_SITE=none: expected APP_URL with https://, since browsers refuse such cookies otherwise'
  }
  if (!config.sessionSecure && config.sessionPartitioned) {
    yield 'SESSION_PARTITIONED_COOKIE=true: expected APP_URL with https://, since browsers refuse such cookies otherwise'
  }
}

/** What the lists of browsers ask for, in seconds. */
const LEAST_PRELOAD_MAX_AGE = 31_536_000

/** Whether browsers take cookies for all of a domain that a host is in: not of public suffixes, nor parts of addresses. */
const isSomebodys = (domain: string, { hostname }: URL) =>
  isIP(hostname) === 0 && getDomain(domain, { allowPrivateDomains: true }) !== null

function* dangers({
  allowInsecureHttp,
  appKey,
  appUrl,
  statefulDomains,
  sessionSecure,
  trustedProxies,
  hashRounds,
}: Config) {
  if (appUrl.protocol === 'http:' && !isLoopback(appUrl) && !allowInsecureHttp) {
    yield `APP_URL=${appUrl.href}: expected https:// in production, since anybody on the way could read passwords, tokens and cookies (ALLOW_INSECURE_HTTP=true for a network that only you are in)`
  }
  if (appKey?.isWeak) {
    yield 'APP_KEY: expected random bytes, and these repeat themselves (make a key with: openssl rand -base64 32)'
  }
  const open = statefulDomains.find(isOpenToAnybody)
  if (open !== undefined) {
    yield `SANCTUM_STATEFUL_DOMAINS=${statefulDomains}: expected a domain of yours behind each * in production, as in *.example.org, since ${open} is met by websites of anybody`
  }
  if (appUrl.protocol === 'https:' && !sessionSecure) {
    yield 'SESSION_SECURE_COOKIE=false: expected true in production with HTTPS, since anybody on the way could read the cookies'
  }
  if (trustedProxies.some(proxy => proxy === '*' || proxy.endsWith('/0'))) {
    yield `TRUSTED_PROXIES=${trustedProxies}: expected named proxies in production, since this lets anybody choose their address`
  }
  if (hashRounds < 10) yield `HASH_ROUNDS=${hashRounds}: expected at least 10 in production`
}
