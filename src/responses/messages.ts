import { KNOWN_ABILITIES } from '#src/auth/ability.ts'
import type { Ban } from '#src/auth/ban.ts'

/** A moment in UTC: the day alone, if it is that day's beginning. */
const dayOrMinute = (millis: number) => {
  const [day, time = ''] = new Date(millis).toISOString().split('T')
  return time.startsWith('00:00:') ? day : `${day} ${time.slice(0, 5)} UTC`
}

/** A text as a sentence that ends. */
const ended = (text: string) => (/[.!?]$/.test(text) ? text : `${text}.`)

/** What makes a question cheaper, by the parameter that makes it dear. */
const CHEAPER = {
  'filter.has': 'Ask for fewer or shorter relations in has, without eq, ne, gt and lte, which count rows.',
  filter: 'Send fewer filters.',
  include: 'Include fewer relations, or ask for smaller pages.',
  sort: 'Sort by fewer fields, and by none that is counted.',
  q: 'Search for fewer words, or leave out filters and sorts.',
  'page.number': 'Ask for an earlier page.',
} as const

/** The status of a sent verification link, as Laravel's Fortify and Breeze name it. */
export const VERIFICATION_LINK_SENT = 'verification-link-sent'

/** Every sentence that an answer can carry, in Laravel's and AnimeThemes' words. */
export const MESSAGES = {
  badRequest: 'Bad request.',
  malformedForwarded: 'The Forwarded header is malformed.',
  ambiguousHost: 'The request has to name one host.',
  unknownHost: 'The host that the request names is not one of this server.',
  malformedJson: 'The request body is not valid JSON.',
  unauthenticated: 'Unauthenticated.',
  unauthorized: 'This action is unauthorized.',
  prohibited: 'You have been banned from performing this action. Please check your email for more details.',
  banned: ({ reason, until }: Ban) =>
    `Your account is banned ${until === null ? 'without an end' : `until ${dayOrMinute(until)}`}${reason === null ? '.' : `: ${ended(reason)}`}`,
  secondFactorRequired:
    'Your account has to have a second factor. Log in with a browser, set one up, and confirm it with a code.',
  csrfMismatch: 'CSRF token mismatch.',
  bearerOnFirstParty:
    'The request has a bearer token, and comes from a page of a first-party origin, where sessions count: reads work, but a change also needs the CSRF token, or the origin has to be left out of SANCTUM_STATEFUL_DOMAINS.',
  originMismatch: 'Origin mismatch.',
  alreadyAuthenticated: 'Already authenticated.',
  wrongCredentials: 'These credentials do not match our records.',
  wrongPassword: 'The provided password was incorrect.',
  wrongCurrentPassword: 'The provided password does not match your current password.',
  passwordConfirmationRequired: 'Password confirmation required.',
  emailChangeNeedsPassword: 'Confirm your password to change your e-mail address.',
  emailChangeNeedsVerification:
    'Verify your present e-mail address before you change it: follow the link in the mail that we sent there.',
  wrongCode: 'The provided two factor authentication code was invalid.',
  wrongRecoveryCode: 'The provided two factor recovery code was invalid.',
  secondFactorProofRequired:
    'Enter a current code of your authenticator app, or a recovery code, to change or show this.',
  secondFactorDisabled: 'Two factor authentication has not been enabled.',
  verificationLinkSent: 'A link to verify your e-mail address has been sent to you.',
  resetLinkSent: 'We have emailed your password reset link!',
  passwordReset: 'Your password has been reset!',
  unknownEmail: "We can't find a user with that email address.",
  resetThrottled: 'Please wait before retrying.',
  wrongResetToken: 'This password reset token is invalid.',
  invalidAbility: 'Invalid ability provided.',
  unverifiedEmail:
    'Your e-mail address is not verified yet. Follow the link in the mail that we sent you, or request a new one, before you create tokens.',
  tooManyTokens: (most: number) => `You may not have more than ${most} tokens.`,
  tooManyPlaylists: (most: number) => `User cannot have more than '${most}' playlists.`,
  tooManyTracks: (most: number) => `Playlists cannot contain more than '${most}' tracks.`,
  tooManyProfiles: (most: number) => `User cannot have more than '${most}' external profiles.`,
  localOnly: 'Route only available for localhost',
  playlistDeleted: (name: string) => `Playlist '${name}' was deleted.`,
  trackDeleted: (id: number) => `Playlist Track '${id}' was deleted.`,
  profileDeleted: (name: string) => `External Profile '${name}' was deleted.`,
  tooMuchIncluded: (most: number) =>
    `The include would show more than ${most} rows. Ask for fewer relations, or for smaller pages.`,
  tooCostly: (cost: number, most: number, part: keyof typeof CHEAPER) =>
    `This query costs ${cost}, and you may spend ${most}. ${CHEAPER[part]}`,
  tokenEnded: 'The token has ended, and so would its successor.',
  invalidSignature: 'Invalid signature.',
  disposableEmail: 'Disposable email addresses are not allowed.',
  notToYourself: 'You cannot do this to your own account.',
  outranked: 'You are not allowed to do this, because it involves permissions that you do not have.',
  changedMeanwhile: 'Another user changed the roles in the meantime. This page shows them as they are now.',
  unknownRestriction: 'The selected ban is invalid.',
  banWithoutEnd: 'Say until when, or tick that the ban has no end.',
  banWithTwoEnds: 'Give a date or tick that the ban has no end, not both.',
  ticksBesideScope: 'Abilities are ticked, but “Custom” is not chosen. Choose it, or untick the abilities.',
  formUnderWay:
    'This form was already sent, and its result is not known yet. Check whether it did what you wanted. If not, reload its page and send it from there.',
  notFound: 'Not Found.',
  routeNotFound: (path: string) => `The route ${path} could not be found.`,
  methodNotAllowed: (method: string, path: string, allowed: readonly string[]) =>
    `The ${method} method is not supported for route ${path}. Supported methods: ${allowed.join(', ')}.`,
  headersTooLarge:
    'The request headers are too large. If this goes on, clear the cookies of this site and try again.',
  notAcceptable: 'None of the content codings that the request accepts is available.',
  malformedForm: 'The request body is not a form of the type that it says.',
  bodyTooLarge: (bytes: number) => `The request body is larger than ${bytes} bytes.`,
  tooManyValues: (most: number) => `The request body has more than ${most} values.`,
  unsupportedMediaType: (type: string | undefined) =>
    type === undefined ? 'The request body has no Content-Type.' : `The media type ${type} is not supported.`,
  allNotificationsRead: 'All unread notifications were marked as read.',
  notificationRead: 'Notification was marked as read.',
  notificationUnread: 'Notification was marked as unread.',
  tooManyAttempts: 'Too Many Attempts.',
  requestTimeout: 'The request took too long to arrive.',
  serverError: 'Server Error',
  serviceUnavailable: 'Service Unavailable',
  andMoreErrors: (count: number) => `(and ${count} more error${count === 1 ? '' : 's'})`,
  rules: {
    required: (field: string) => `The ${field} field is required.`,
    string: (field: string) => `The ${field} must be a string.`,
    integer: (field: string) => `The ${field} must be an integer.`,
    number: (field: string) => `The ${field} must be a number.`,
    boolean: (field: string) => `The ${field} field must be true or false.`,
    array: (field: string) => `The ${field} must be an array.`,
    email: (field: string) => `The ${field} must be a valid email address.`,
    minString: (field: string, least: number) => `The ${field} must be at least ${least} characters.`,
    maxString: (field: string, most: number) => `The ${field} must not be greater than ${most} characters.`,
    minNumber: (field: string, least: number) => `The ${field} must be at least ${least}.`,
    maxNumber: (field: string, most: number) => `The ${field} must not be greater than ${most}.`,
    date: (field: string) => `The ${field} does not match the format Y-m-d\\TH:i:s.u.`,
    future: (field: string) => `The ${field} must be a date after now.`,
    jsonObject: (field: string) => `The ${field} must be a JSON object.`,
    isoDate: (field: string) => `The ${field} must be a date such as 2027-01-31T12:00:00Z.`,
    addresses: (field: string) => `The ${field} must be addresses, or ranges such as 192.0.2.0/24.`,
    abilities: (unknown: readonly string[]) =>
      `The abilities ${unknown.join(', ')} are unknown. Known abilities are ${KNOWN_ABILITIES.join(', ')}.`,
    notBeyond: (field: string) => `The ${field} must not give more than your own token has.`,
    prohibited: (field: string) => `The ${field} field is prohibited.`,
    prohibits: (field: string, other: string) => `The ${field} field prohibits ${other} from being present.`,
    confirmed: (field: string) => `The ${field} confirmation does not match.`,
    mixedCase: (field: string) =>
      `The ${field} must contain at least one uppercase and one lowercase letter.`,
    letters: (field: string) => `The ${field} must contain at least one letter.`,
    symbols: (field: string) => `The ${field} must contain at least one symbol.`,
    numbers: (field: string) => `The ${field} must contain at least one number.`,
    common: (field: string) => `The ${field} is too common. Please choose a different ${field}.`,
    repetitive: (field: string) =>
      `The ${field} mostly repeats itself or follows a sequence. Please choose a different ${field}.`,
    namesake: (field: string, of: string) =>
      `The ${field} is too similar to ${of}. Please choose a different ${field}.`,
    breached: (field: string) =>
      `The given ${field} has appeared in a data leak. Please choose a different ${field}.`,
    unique: (field: string) => `The ${field} has already been taken.`,
    alphaDash: (field: string) => `The ${field} must only contain letters, numbers, dashes and underscores.`,
    moderated: (field: string) => `The ${field} field does not comply with usage policy.`,
    requiredWithout: (field: string, other: string) =>
      `The ${field} field is required when ${other} is not present.`,
    duplicates: 'You may not specify duplicates.',
    duplicateSort: (field: string) => `The ${field} field has a duplicate value.`,
    randomAlone: (field: string) => `The ${field} field prohibits random unless it is the sole value.`,
    maxItems: (field: string, most: number) => `The ${field} must not have more than ${most} items.`,
    maxDepth: (field: string, most: number) => `The ${field} must not be nested deeper than ${most} levels.`,
    selected: (field: string) => `The selected ${field} is invalid.`,
  },
} as const
