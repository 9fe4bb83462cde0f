import { oneOf, wholeNumber } from '../parsers.ts'
import { ExpectedValue, setting } from '../setting.ts'

/** Cost of hashing, log and metrics. */
export const OPERATION = {
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
      if (Number.isNaN(share)) throw new ExpectedValue('all, errors, or a share from 0 to 1')
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
      'Port on `HOST` that has `/metrics` and nothing else; 0 takes a free one. The metrics are not on `PORT` then. `METRICS_TOKEN` counts here, too.',
    parse: wholeNumber(0, 65_535),
  }),
}
