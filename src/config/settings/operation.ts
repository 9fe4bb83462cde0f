import { oneOf, wholeNumber } from '../parsers.ts'
import { ExpectedValue, setting } from '../setting.ts'

/** Cost of hashing, writes of last uses, log and metrics. */
export const OPERATION = {
  hashRounds: setting({
    name: 'HASH_ROUNDS',
    fallback: '12',
    about: 'Cost of new bcrypt password hashes.',
    parse: wholeNumber(4, 20),
  }),
  lastUsedInterval: setting({
    name: 'LAST_USED_INTERVAL',
    fallback: '60',
    about:
      'Seconds after which the last use of a token or session is stored again, at most 3600; `0` stores it every five seconds. It is stored more often, sixty times within `SANCTUM_IDLE_EXPIRATION` or `SESSION_LIFETIME`, if these are short.',
    parse: wholeNumber(0, 3_600),
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
      'Requests that are logged: `all`, `errors` (status 400 and above), or a share such as `0.01` of the others in addition to errors.',
    parse: text => {
      if (text === 'all') return 1
      if (text === 'errors') return 0
      const share = /^(0?\.\d{1,6}|0|1)$/.test(text) ? Number(text) : Number.NaN
      if (Number.isNaN(share)) throw new ExpectedValue('all, errors, or a share from 0 to 1')
      return share
    },
  }),
  metricsToken: setting<string | null>({
    name: 'METRICS_TOKEN',
    fallback: null,
    defaultNote: 'none',
    about:
      'Bearer token for `/metrics`, at least 16 characters. Without it and `METRICS_PORT` there are no metrics, except for the machine itself in `APP_ENV=local`.',
    secret: true,
    parse: text => {
      if (!/^[!-~]{16,}$/.test(text)) {
        throw new ExpectedValue('a token of at least 16 ASCII characters without white space')
      }
      return text
    },
  }),
  metricsPort: setting<number | null>({
    name: 'METRICS_PORT',
    fallback: null,
    defaultNote: 'none',
    about:
      'Port on `HOST` that serves only `/metrics`; 0 selects a free one. `PORT` then serves no metrics. `METRICS_TOKEN` applies to this port as well.',
    parse: wholeNumber(0, 65_535),
  }),
}
