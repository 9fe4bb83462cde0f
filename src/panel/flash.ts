/** The flash messages, by the value of the parameter `done` in the URL. */
export const FLASH_MESSAGES = {
  'token-renamed': 'The token was renamed.',
  'token-revoked': 'The token was revoked.',
  'tokens-revoked': 'All tokens were revoked.',
  'device-ended': 'The browser was logged out.',
  'devices-ended': 'All other browsers were logged out.',
  'password-changed': 'Your password was changed. All other browsers must log in again.',
  'password-confirmed': 'Your password was confirmed.',
  'factor-begun': 'The second factor was created. Confirm it with a code to activate it.',
  'factor-confirmed': 'The second factor is active. All other browsers were logged out.',
  'factor-disabled': 'The second factor was removed. You log in with your password only.',
  'user-verified': 'The e-mail address was marked as verified.',
  'user-roles': 'The roles were changed.',
  'user-banned': 'The user was banned and notified by mail.',
  'user-lifted': 'The ban was lifted.',
  'user-revoked': 'All tokens and sessions of the user were revoked.',
  'user-notified': 'The notification was sent.',
  'role-changed': 'The permissions of the role were changed.',
  'logged-out': 'You are logged out.',
  'reset-asked':
    'If there is an account with this address, we have sent a mail with a link to set a new password. The link is valid for one hour.',
  'password-reset': 'Your password was changed. You can log in with it now.',
  unchanged: 'Nothing has changed.',
  'sent-before': 'This form was already submitted. Its action was not repeated.',
  'issued-before':
    'This form was already submitted, and its token was created once. If you do not have the secret, replace or revoke the token.',
} as const

/** The name of a flash message. */
export type FlashMessage = keyof typeof FLASH_MESSAGES
