import { oneOf, onOrOff, trueOrFalse, urlText, wholeNumber } from '../parsers.ts'
import { ExpectedValue, setting } from '../setting.ts'

/** Rate limits, attempt limits, and the rules for logins, registrations and passwords. */
export const ACCOUNTS = {
  rateLimitAuthenticated: setting({
    name: 'RATE_LIMIT_AUTHENTICATED',
    fallback: '90',
    about: 'Requests per minute of each user, to the API, the login and the panel together.',
    parse: wholeNumber(1, 1_000_000),
  }),
  rateLimitAnonymous: setting({
    name: 'RATE_LIMIT_ANONYMOUS',
    fallback: '90',
    about: 'Requests per minute of each address without a logged-in user.',
    parse: wholeNumber(1, 1_000_000),
  }),
  rateLimitFailedAuth: setting({
    name: 'RATE_LIMIT_FAILED_AUTH',
    fallback: '60',
    about: 'Wrong credentials per minute from each address.',
    parse: wholeNumber(1, 1_000_000),
  }),
  loginRateLimit: setting({
    name: 'LOGIN_RATE_LIMIT',
    fallback: '5',
    about:
      'Logins per minute for each account from one address, successful ones included. Each address may try four times as many in total.',
    parse: wholeNumber(1, 1_000_000),
  }),
  loginFailureLimit: setting({
    name: 'LOGIN_FAILURE_LIMIT',
    fallback: '100',
    about:
      'Wrong passwords per hour for each account. Beyond the limit, only addresses that logged in to the account before can try.',
    parse: wholeNumber(1, 1_000_000),
  }),
  confirmPasswordRateLimit: setting({
    name: 'CONFIRM_PASSWORD_RATE_LIMIT',
    fallback: '5',
    about:
      'Password confirmations per minute for each logged-in user from one address. Each address may try four times as many in total.',
    parse: wholeNumber(1, 1_000_000),
  }),
  twoFactorRateLimit: setting({
    name: 'TWO_FACTOR_RATE_LIMIT',
    fallback: '5',
    about:
      'Second-factor codes per minute for each account from one address. Each address may try four times as many in total; each account allows four times as many wrong codes per hour from all addresses.',
    parse: wholeNumber(1, 1_000_000),
  }),
  twoFactorDisableNeedsCode: setting({
    name: 'TWO_FACTOR_DISABLE_NEEDS_CODE',
    fallback: 'true',
    about:
      '`true`: disabling a confirmed second factor requires a code or a recovery code besides the password. `false`: it requires only the password, for Fortify clients that send no code.',
    parse: trueOrFalse,
  }),
  registerRateLimit: setting({
    name: 'REGISTER_RATE_LIMIT',
    fallback: '5',
    about:
      'Registrations per minute for each e-mail address from one address. Each address may try four times as many in total, and create four times as many accounts per hour.',
    parse: wholeNumber(1, 1_000_000),
  }),
  forgotPasswordRateLimit: setting({
    name: 'FORGOT_PASSWORD_RATE_LIMIT',
    fallback: '5',
    about:
      'Requests for a reset link, and resets, per minute for each account from one address. Each address may try four times as many in total. A user receives at most one such mail per minute and five per hour.',
    parse: wholeNumber(1, 1_000_000),
  }),
  exportDailyLimit: setting({
    name: 'EXPORT_DAILY_LIMIT',
    fallback: '5',
    about:
      'Downloads of all data per user within 24 hours, in the API and the panel together. A download that fails before it starts does not count.',
    parse: wholeNumber(1, 1_000_000),
  }),
  revealUnknownEmail: setting({
    name: 'REVEAL_UNKNOWN_EMAIL',
    fallback: 'false',
    about:
      '`true`: a request for a password reset reveals whether the account exists, as in Laravel. `false`: the response is the same in both cases.',
    parse: trueOrFalse,
  }),
  registerReveals: setting({
    name: 'REGISTER_REVEALS',
    fallback: 'true',
    about:
      '`true`: a registration, or a change of the e-mail address, reveals that the address is taken, as in Laravel. `false`: the response is the same in both cases; a mail contains the link to choose a password, or notifies the owner of the address, and registering does not log in.',
    parse: trueOrFalse,
  }),
  emailChange: setting({
    name: 'EMAIL_CHANGE',
    fallback: 'confirmed',
    about:
      '`confirmed`: changing a verified e-mail address requires a confirmed password, takes effect when the link mailed to the new address is opened, and can be reverted from the old address for seven days. `immediate`: it takes effect at once, unverified, as in AnimeThemes. An address that was never verified always changes at once.',
    parse: oneOf('confirmed', 'immediate'),
  }),
  confirmEmailChange: setting({
    name: 'CONFIRM_EMAIL_CHANGE',
    fallback: 'false',
    about:
      '`true`: changing an e-mail address at once requires a recently confirmed password. `false`: it does not.',
    parse: trueOrFalse,
  }),
  requireSecondFactor: setting({
    name: 'REQUIRE_SECOND_FACTOR',
    fallback: 'none',
    about:
      'Users who must have a confirmed second factor, and can only set it up before: `staff` (holders of `view filament`), `all` or `none`.',
    parse: oneOf('none', 'staff', 'all'),
  }),
  commonPasswords: setting({
    name: 'COMMON_PASSWORDS',
    fallback: 'on',
    about:
      '`on`: new passwords are compared with a list of 49,000 common ones. `off`: they are not. Repetitive passwords, and those similar to the name or address of the user or the site, are always refused.',
    parse: onOrOff,
  }),
  breachedPasswordsUrl: setting<string | null>({
    name: 'BREACHED_PASSWORDS_URL',
    fallback: null,
    defaultNote: 'none',
    about:
      'A service that knows leaked passwords, queried by five digits of the hash of a new password: `https://api.pwnedpasswords.com/range/`. If it does not respond, the password is accepted.',
    parse: urlText('http:', 'https:'),
  }),
  moderationUrl: setting<string | null>({
    name: 'MODERATION_URL',
    fallback: null,
    defaultNote: 'none',
    about:
      'A service that moderates user names: `https://api.openai.com/v1/moderations`. If it does not respond, the name is accepted.',
    parse: urlText('http:', 'https:'),
  }),
  moderationToken: setting<string | null>({
    name: 'MODERATION_TOKEN',
    fallback: null,
    defaultNote: 'none',
    about: 'The bearer token for `MODERATION_URL`.',
    secret: true,
    parse: text => {
      if (!/^[!-~]+$/.test(text)) throw new ExpectedValue('a token of ASCII characters without white space')
      return text
    },
  }),
  revokeTokensOnPasswordReset: setting({
    name: 'REVOKE_TOKENS_ON_PASSWORD_RESET',
    fallback: 'true',
    about:
      "`true`: resetting a password by mail also revokes the user's tokens. `false`: it does not. Sessions always end, and so do all tokens of an account that was never verified. A request can override it by `revoke_tokens`.",
    parse: trueOrFalse,
  }),
  revokeTokensOnPasswordChange: setting({
    name: 'REVOKE_TOKENS_ON_PASSWORD_CHANGE',
    fallback: 'false',
    about:
      "`true`: changing a password also revokes the user's tokens. `false`: it does not. Other sessions always end. A request can override it by `revoke_tokens`.",
    parse: trueOrFalse,
  }),
}
