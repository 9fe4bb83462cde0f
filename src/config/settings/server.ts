import { isIP } from 'node:net'
import { DEFAULT_CONNECTIONS, MIN_CONNECTIONS } from '#src/runtime/connection-shares.ts'
import { AppKey } from '../app-key.ts'
import { databaseUrl } from '../database-url.ts'
import {
  list,
  listOf,
  oneOf,
  onOrOff,
  pathPrefix,
  serverUrl,
  siteAddress,
  trueOrFalse,
  wholeNumber,
} from '../parsers.ts'
import { ExpectedValue, setting } from '../setting.ts'

/** Network, paths, database and identity of the server. */
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
    about: 'Port to listen on; 0 selects a free one.',
    parse: wholeNumber(0, 65_535),
  }),
  appEnv: setting<'local' | 'production' | null>({
    name: 'APP_ENV',
    fallback: null,
    defaultNote: '`local` on the embedded database, else `production`',
    about: '`production` refuses requests for other hosts, and unsafe settings.',
    parse: oneOf('local', 'production'),
  }),
  appUrl: setting<URL | null>({
    name: 'APP_URL',
    fallback: null,
    defaultNote: '`http://localhost:PORT` on this machine, else `http://HOST:PORT`',
    about:
      "The public URL of this server. Its path, if it has one, precedes all links and is the path of the session's cookies; a proxy may remove it from requests or leave it.",
    parse: siteAddress,
  }),
  allowInsecureHttp: setting({
    name: 'ALLOW_INSECURE_HTTP',
    fallback: 'false',
    about:
      '`true` allows `APP_URL` with plain HTTP in production. Then the network can read passwords, tokens and cookies.',
    parse: trueOrFalse,
  }),
  hstsMaxAge: setting({
    name: 'HSTS_MAX_AGE',
    fallback: '31536000',
    about:
      "Seconds for which browsers access `APP_URL`'s host only over HTTPS (if it has HTTPS); 0 revokes this.",
    parse: wholeNumber(0, 315_360_000),
  }),
  hstsIncludeSubdomains: setting({
    name: 'HSTS_INCLUDE_SUBDOMAINS',
    fallback: 'false',
    about: '`true`: HSTS includes all subdomains, which must all have HTTPS. `false`: it does not.',
    parse: trueOrFalse,
  }),
  hstsPreload: setting({
    name: 'HSTS_PRELOAD',
    fallback: 'false',
    about:
      '`true`: browsers may include the host in their preload lists (hstspreload.org), which is hard to undo. `false`: they may not.',
    parse: trueOrFalse,
  }),
  appHosts: setting({
    name: 'APP_HOSTS',
    fallback: '',
    about:
      'Further host names that requests may use, comma-separated. `*.example.org` includes all subdomains.',
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
      'Previous keys, comma-separated. They decrypt and verify existing data; new data always uses `APP_KEY`.',
    secret: true,
    parse: text => Object.freeze(list(text).map(key => new AppKey(key))),
  }),
  appName: setting({
    name: 'APP_NAME',
    fallback: 'AnimeThemes',
    about: 'The name of the site in mails and authenticator apps.',
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
    about:
      '`postgres://user:password@host:5432/database`, with reserved characters of the password percent-encoded (`#` as `%23`). A socket: `postgres:///database?host=/var/run/postgresql`. TLS: `?sslmode=verify-full`, with `&sslrootcert=ca.pem` for an authority of your own.',
    secret: true,
    parse: databaseUrl,
  }),
  databaseListenUrl: setting<string | null>({
    name: 'DATABASE_LISTEN_URL',
    fallback: null,
    defaultNote: '`DATABASE_URL`',
    about:
      'A direct connection to the same database, bypassing a pooler such as PgBouncer that does not forward notifications. Used by `IDENTITY_CACHE`.',
    secret: true,
    parse: databaseUrl,
  }),
  databasePrepare: setting({
    name: 'DATABASE_PREPARE',
    fallback: 'on',
    about:
      '`on`: statements are prepared. `off`: they are not, for a transaction pooler without support for prepared statements, such as PgBouncer before 1.21.',
    parse: onOrOff,
  }),
  databaseConnections: setting({
    name: 'DATABASE_CONNECTIONS',
    fallback: String(DEFAULT_CONNECTIONS),
    about:
      'Maximum number of connections to `DATABASE_URL`; `IDENTITY_CACHE` uses one more. One fifth is reserved for authentication, one fifth for logins; lists use at most three tenths.',
    parse: wholeNumber(MIN_CONNECTIONS, 1_000),
  }),
  requestTimeout: setting({
    name: 'REQUEST_TIMEOUT',
    fallback: '30',
    about: 'Seconds after which an unfinished request gets a 503 response.',
    parse: wholeNumber(1, 3_600),
  }),
  keepAliveTimeout: setting({
    name: 'KEEP_ALIVE_TIMEOUT',
    fallback: '72',
    about:
      'Seconds for which a connection stays open without a request. More than the proxy in front keeps its connections, 60 in most: it must close first, or it may send a request to a closed connection.',
    parse: wholeNumber(1, 3_600),
  }),
  shutdownDelay: setting({
    name: 'SHUTDOWN_DELAY',
    fallback: '0',
    about:
      'Seconds for which a stopping server still accepts connections, while `/health/ready` returns 503. Use the time that the load balancer needs to notice. Active requests then have 10 more seconds.',
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
      '`on`: identities are cached for up to a minute, and changes in the database invalidate them. `off`: every request queries the database.',
    parse: onOrOff,
  }),
  redisUrl: setting<string | null>({
    name: 'REDIS_URL',
    fallback: null,
    defaultNote: 'counters in memory',
    about:
      '`redis://host:6379` or `rediss://…`. Requests and wrong tokens are then counted across all instances. Attempts at logins, codes and registrations are always counted across all instances, in the database.',
    secret: true,
    parse: serverUrl('redis:', 'rediss:'),
  }),
  apiPath: setting({
    name: 'API_PATH',
    fallback: '/api',
    about: 'Path prefix of the API.',
    parse: pathPrefix,
  }),
  authPath: setting({
    name: 'AUTH_PATH',
    fallback: '/',
    about: 'Path prefix of login, registration and account routes.',
    parse: pathPrefix,
  }),
}
