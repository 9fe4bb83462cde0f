/** The path prefix of the panel. */
export const PANEL_PATH = '/admin'

/** The panel's page for changing one's own password. */
export const CHANGE_PASSWORD_PATH = `${PANEL_PATH}/password`

/** Paths besides API and login, always below the root. */
export const SYSTEM_PATHS: readonly string[] = [
  '/health',
  '/metrics',
  '/docs',
  '/openapi.json',
  '/sanctum',
  '/.well-known',
  PANEL_PATH,
]
