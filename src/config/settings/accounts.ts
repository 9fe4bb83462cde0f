import { oneOf, onOrOff, trueOrFalse, urlText, wholeNumber } from '../parsers.ts'
import { ExpectedValue, setting } from '../setting.ts'

/** Limits of requests and attempts, and the rules for logins, registrations and passwords. */
export const ACCOUNTS = {
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
    parse: trueOrFalse,
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
    parse: trueOrFalse,
  }),
  registerReveals: setting({
    name: 'REGISTER_REVEALS',
    fallback: 'true',
    about:
      '`true` to tell whoever registers, or changes an e-mail address, that it is taken, as Laravel does; `false` to answer everybody alike: a mail then brings the link to choose a password, or tells the owner of the address, and nobody is logged in before.',
    parse: trueOrFalse,
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
    parse: trueOrFalse,
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
      if (!/^[!-~]+$/.test(text)) throw new ExpectedValue('a token of ASCII characters without white space')
      return text
    },
  }),
  revokeTokensOnPasswordReset: setting({
    name: 'REVOKE_TOKENS_ON_PASSWORD_RESET',
    fallback: 'true',
    about:
      "Whether a password that was reset by mail also revokes its user's tokens: `true` or `false`. Sessions end in any case, and so does everything of an account that was never verified; a request can ask for either by `revoke_tokens`.",
    parse: trueOrFalse,
  }),
  revokeTokensOnPasswordChange: setting({
    name: 'REVOKE_TOKENS_ON_PASSWORD_CHANGE',
    fallback: 'false',
    about:
      "Whether a changed password also revokes its user's tokens: `true` or `false`. Other sessions end in any case; a request can ask for it by `revoke_tokens`.",
    parse: trueOrFalse,
  }),
}
