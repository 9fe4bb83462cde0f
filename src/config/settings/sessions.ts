import { isAppOrigin, isCanonicalPattern } from '#src/auth/origin.ts'
import { REMEMBER_COOKIE } from '#src/auth/session-cookies.ts'
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
      "First-party origins besides `APP_URL`'s, whose browsers get a session: `[scheme://]host[:port]` with `*` as a wildcard, comma-separated; empty for none. The default scheme is that of `APP_URL`. Applications that are not on the web are named whole: `capacitor://localhost`.",
    emptyIsValue: true,
    parse: listOf(
      'hosts such as localhost:3000, *.example.org or https://www.example.org, as browsers write them: without a path, without :80 and :443, and [::1]',
      item => isAppOrigin(item) || (/^(https?:\/\/)?[\w.*:[\]-]+$/.test(item) && isCanonicalPattern(item)),
    ),
  }),
  corsAllowedOrigins: setting({
    name: 'CORS_ALLOWED_ORIGINS',
    fallback: '',
    defaultNote: 'none',
    about:
      'Further origins whose scripts may read responses, with cookies. `*` allows all others, without cookies. First-party origins are always allowed.',
    parse: listOf(
      'origins such as https://app.example.org, without a path',
      item => item === '*' || isAppOrigin(item) || (URL.canParse(item) && new URL(item).origin === item),
    ),
  }),
  sessionCookie: setting({
    name: 'SESSION_COOKIE',
    fallback: 'animethemes_session',
    about:
      'Name of the session cookie. Over HTTPS and without `SESSION_DOMAIN` it gets the prefix `__Host-`, so that subdomains cannot forge it; `__Secure-` if `APP_URL` has a path.',
    parse: text => {
      if (!/^(?!__)[\w.-]{1,64}$/.test(text) || text === REMEMBER_COOKIE) {
        throw new ExpectedValue(
          `at most 64 letters, digits, _, . or -, no prefix such as __Host-, and not ${REMEMBER_COOKIE}, which is another cookie`,
        )
      }
      return text
    },
  }),
  csrfCookie: setting({
    name: 'XSRF_COOKIE',
    fallback: 'XSRF-TOKEN',
    about:
      'Name of the cookie from which scripts read the CSRF token, for several servers under one domain. Axios and Angular read `XSRF-TOKEN` unless told otherwise.',
    parse: text => {
      if (/^(?!__)[\w.-]{1,64}$/.test(text) && text !== REMEMBER_COOKIE) return text
      throw new ExpectedValue(
        `at most 64 letters, digits, _, . or -, no prefix such as __Host-, and not ${REMEMBER_COOKIE}`,
      )
    },
  }),
  sessionDomain: setting<string | null>({
    name: 'SESSION_DOMAIN',
    fallback: null,
    defaultNote: "APP_URL's host alone",
    about: 'Domain whose hosts all receive the cookies, such as `.example.org`; `null` for none.',
    parse: nullable(text => {
      if (!/^\.?[\w-]+(\.[\w-]+)*$/.test(text)) throw new ExpectedValue('a domain such as .example.org')
      return text.toLowerCase()
    }),
  }),
  sessionSecure: setting<boolean | null>({
    name: 'SESSION_SECURE_COOKIE',
    fallback: null,
    defaultNote: 'whether APP_URL is HTTPS',
    about: '`true`: browsers send the cookies only over HTTPS. `false`: also over HTTP.',
    parse: nullable(trueOrFalse),
  }),
  sessionSameSite: setting({
    name: 'SESSION_SAME_SITE',
    fallback: 'lax',
    about: '`lax`, `strict`, or `none` for pages of other sites, which requires HTTPS.',
    parse: oneOf('lax', 'strict', 'none'),
  }),
  sessionPartitioned: setting({
    name: 'SESSION_PARTITIONED_COOKIE',
    fallback: 'false',
    about:
      '`true`: browsers keep separate cookies for each embedding site (CHIPS), which requires HTTPS. `false`: they do not.',
    parse: trueOrFalse,
  }),
  sessionLifetime: setting({
    name: 'SESSION_LIFETIME',
    fallback: '120',
    about: 'Minutes of inactivity after which a session ends.',
    parse: wholeNumber(1, 525_600),
  }),
  sessionAbsoluteLifetime: setting<number | null>({
    name: 'SESSION_ABSOLUTE_LIFETIME',
    fallback: '43200',
    about:
      'Minutes after the login at which a session ends, even if it is active: 43200 is 30 days. `null` for no limit except the 400 days after which every login requires the password again.',
    parse: nullable(wholeNumber(1, 5_256_000)),
  }),
  csrfMode: setting({
    name: 'CSRF_MODE',
    fallback: 'token',
    about:
      "`token`: changes require a CSRF token. `origin-only`: changes are accepted only from `APP_URL`'s own pages, as reported by the browser in `Sec-Fetch-Site`.",
    parse: oneOf('token', 'origin-only'),
  }),
}
