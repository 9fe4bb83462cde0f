/** What a page says of what was just done, by the name that its address carries. */
export const FLASH_MESSAGES = {
  'token-renamed': 'The token has its new name.',
  'token-revoked': 'The token is revoked: from now on it opens nothing.',
  'tokens-revoked': 'All tokens are revoked.',
  'device-ended': 'The browser is logged out.',
  'devices-ended': 'All other browsers are logged out.',
  'password-changed': 'You have a new password. All other browsers have to log in again.',
  'password-confirmed': 'The password is confirmed.',
  'factor-begun': 'The second factor is made. It counts once a code has confirmed it.',
  'factor-confirmed':
    'Every login asks for the second factor from now on. All other browsers are logged out.',
  'factor-disabled': 'You have no second factor: your password alone is enough to log in.',
  'user-verified': 'The e-mail address counts as verified.',
  'user-roles': 'The roles are as you ticked them.',
  'user-banned': 'The ban counts from now on. A mail tells the user.',
  'user-lifted': 'The ban is lifted.',
  'user-revoked': 'All tokens and sessions of the user are over.',
  'user-notified': 'The notification is there.',
  'role-changed': 'The role allows what you ticked.',
  'logged-out': 'You are logged out.',
  'reset-asked':
    'If there is an account with that address, a mail with a link to a new password is on its way. The link works for an hour.',
  'password-reset': 'You have a new password. Log in with it.',
  unchanged: 'Nothing would change: it is that way already.',
  'sent-before': 'This form was sent before. What it asked for was done then, and not once more now.',
  'issued-before':
    'This form was sent before, and the token was issued then, once. If you do not have its secret, replace the token or revoke it.',
} as const

/** Something that was done. */
export type FlashMessage = keyof typeof FLASH_MESSAGES
