/** Where the panel is. */
export const PANEL_PATH = '/admin'

/** The panel's page on which users change their own passwords. */
export const CHANGE_PASSWORD_PATH = `${PANEL_PATH}/password`

/** What the server serves beside the API and the login, always at the root. */
export const SYSTEM_PATHS: readonly string[] = [
  '/health',
  '/metrics',
  '/docs',
  '/openapi.json',
  '/sanctum',
  '/.well-known',
  PANEL_PATH,
]
