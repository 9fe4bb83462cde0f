import { list, nullable, onOrOff, wholeNumber } from '../parsers.ts'
import { ExpectedValue, setting } from '../setting.ts'

/** Personal access tokens. */
export const TOKENS = {
  tokenExpiration: setting<number | null>({
    name: 'SANCTUM_EXPIRATION',
    fallback: '525600',
    about:
      'Minutes after its creation at which every token ends, independent of its own date; `0` or `null` for never.',
    parse: text => {
      if (text === 'null' || text === '0') return null
      try {
        return wholeNumber(1, 1_000_000_000)(text)
      } catch {
        throw new ExpectedValue('a whole number of minutes, or null for no limit')
      }
    },
  }),
  tokenIdleExpiration: setting<number | null>({
    name: 'SANCTUM_IDLE_EXPIRATION',
    fallback: null,
    defaultNote: 'never',
    about: 'Minutes without use after which a token ends, at least five; `null` for never.',
    parse: nullable(wholeNumber(5, 1_000_000_000)),
  }),
  leakedTokens: setting({
    name: 'LEAKED_TOKENS',
    fallback: 'off',
    about:
      '`on`: every client can revoke a token that it has found, by `POST /leaked-token` under `API_PATH`. `off`: there is no such route.',
    parse: onOrOff,
  }),
  tokenLogin: setting({
    name: 'TOKEN_LOGIN',
    fallback: 'off',
    about:
      '`on`: applications without a browser get a token for an e-mail address and a password, by `POST /sanctum/token`. `off`: there is no such route.',
    parse: onOrOff,
  }),
  tokenPrefix: setting({
    name: 'SANCTUM_TOKEN_PREFIX',
    fallback: '',
    about: "Prefix of a new token's secret, so that scanners recognise leaked tokens.",
    parse: text => {
      if (!/^[\w-]{0,40}$/.test(text)) throw new ExpectedValue('at most 40 letters, digits, _ or -')
      return text
    },
  }),
  tokenAbilities: setting({
    name: 'TOKEN_ABILITIES',
    fallback: 'on',
    about:
      '`on`: the abilities of a token restrict it. `off`: every token can do everything, as in AnimeThemes.',
    parse: onOrOff,
  }),
  tokensPerUser: setting({
    name: 'TOKENS_PER_USER',
    fallback: '500',
    about: 'Maximum number of tokens of a user.',
    parse: wholeNumber(1, 1_000_000),
  }),
  tokenableTypes: setting({
    name: 'SANCTUM_TOKENABLE_TYPES',
    fallback: 'App\\Models\\Auth\\User,App\\Models\\User',
    about: 'Class names of users in Laravel\'s "type" columns. New rows get the first.',
    parse: text => {
      const [first, ...others] = list(text)
      if (first === undefined) throw new ExpectedValue('at least one class name')
      return Object.freeze([first, ...others] as const)
    },
  }),
}
