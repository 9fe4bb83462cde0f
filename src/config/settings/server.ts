import { isIP } from 'node:net'
import { DEFAULT_CONNECTIONS, MIN_CONNECTIONS } from '#src/runtime/connection-shares.ts'
import { AppKey } from '../app-key.ts'
import {
  list,
  listOf,
  oneOf,
  onOrOff,
  pathPrefix,
  trueOrFalse,
  urlText,
  webAddress,
  wholeNumber,
} from '../parsers.ts'
import { ExpectedValue, setting } from '../setting.ts'

/** Where the server listens, where it keeps what it knows, and where it is mounted. */
export const SERVER = {
  host: setting({
    name: 'HOST',
    fallback: '127.0.0.1',
    about: 'Address to listen on.',
    parse: text => {
      if (isIP(text) === 0 && !/^[\w-]+(\.[\w-]+)*$/.test(text)) {
        throw new ExpectedValue('an address such as 0.0.0.0, or a name such as localhost')
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
    defaultNote: '`http://localhost:PORT` on this machine, else `http://HOST:PORT`',
    about: 'The address under which the outside world reaches this server.',
    parse: webAddress,
  }),
  allowInsecureHttp: setting({
    name: 'ALLOW_INSECURE_HTTP',
    fallback: 'false',
    about:
      '`true` to let `APP_URL` be on plain HTTP in production, where anybody on the way can read passwords, tokens and cookies.',
    parse: trueOrFalse,
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
    parse: trueOrFalse,
  }),
  hstsPreload: setting({
    name: 'HSTS_PRELOAD',
    fallback: 'false',
    about:
      'Whether browsers may have the host in their lists from the beginning (hstspreload.org): `true` or `false`. Hard to take back.',
    parse: trueOrFalse,
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
      if (!/^[^\p{Cc}:]{1,60}$/u.test(text))
        throw new ExpectedValue('at most 60 characters, none of them a colon')
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
    parse: wholeNumber(MIN_CONNECTIONS, 1_000),
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
}
