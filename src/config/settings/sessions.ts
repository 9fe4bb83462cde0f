import { isCanonicalPattern } from '#src/auth/origin.ts'
import { CSRF_COOKIE, REMEMBER_COOKIE } from '#src/auth/session-cookies.ts'
import { listOf, nullable, oneOf, trueOrFalse, wholeNumber } from '../parsers.ts'
import { ExpectedValue, setting } from '../setting.ts'

/** First-party origins, CORS, and the cookies and lifetimes of sessions. */
export const SESSIONS = {
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
      item => /^(https?:\/\/)?[\w.*:[\]-]+$/.test(item) && isCanonicalPattern(item),
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
        throw new ExpectedValue(
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
      if (!/^\.?[\w-]+(\.[\w-]+)*$/.test(text)) throw new ExpectedValue('a domain such as .example.org')
      return text.toLowerCase()
    }),
  }),
  sessionSecure: setting<boolean | null>({
    name: 'SESSION_SECURE_COOKIE',
    fallback: null,
    defaultNote: 'whether APP_URL is HTTPS',
    about: 'Whether the cookies are for HTTPS alone: `true` or `false`.',
    parse: nullable(trueOrFalse),
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
    parse: trueOrFalse,
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
}
