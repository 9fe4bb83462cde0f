/** What a page says of what was just done, by the name that its address carries. */
export const SAID = {
  'token-renamed': 'The token has its new name.',
  'token-revoked': 'The token is revoked: from now on it opens nothing.',
  'tokens-revoked': 'All tokens are revoked.',
  'device-ended': 'The browser is logged out.',
  'devices-ended': 'All other browsers are logged out.',
  'password-changed': 'You have a new password. All other browsers have to log in again.',
  'user-verified': 'The e-mail address counts as verified.',
  'user-roles': 'The roles are as you ticked them.',
  'user-banned': 'The ban counts from now on. A mail tells the user.',
  'user-lifted': 'The ban is lifted.',
  'user-revoked': 'All tokens and sessions of the user are over.',
  'user-notified': 'The notification is there.',
  'role-changed': 'The role allows what you ticked.',
  'logged-out': 'You are logged out.',
} as const

/** Something that was done. */
export type Done = keyof typeof SAID
