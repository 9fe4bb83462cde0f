/** Where somebody may be led after logging in: pages of the panel, by the plainest of paths. */
export const isPanelPath = (path: unknown): path is string =>
  typeof path === 'string' && /^\/admin(\/[\w-]+)*$/.test(path)
