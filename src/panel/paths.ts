/** The page on which a user sets up the second factor. */
export const SECOND_FACTOR_PATH = '/admin/second-factor'

/** Where somebody may be led after logging in: pages of the panel, by the plainest of paths. */
export const isPanelPath = (path: unknown): path is string =>
  typeof path === 'string' && /^\/admin(\/[\w-]+)*$/.test(path)
