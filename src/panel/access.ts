/** The access of a user's own pages. */
export const LOGGED_IN = { auth: 'required', via: 'session' } as const

/** The access of actions that need the password, confirmed recently or entered in the form. */
export const WITH_PASSWORD = { ...LOGGED_IN, password: 'confirmed or entered' } as const

/** The access of the second factor page, also for users who must set one up first. */
export const SECOND_FACTOR_SETUP = { ...LOGGED_IN, beforeSecondFactor: true } as const

/** The access of logging out, also for banned users. */
export const LOGOUT = { ...LOGGED_IN, whileBanned: true, beforeSecondFactor: true } as const

/** The access of pages for guests and users. */
export const PUBLIC = { auth: 'optional', via: 'session' } as const

/** Returns the access of pages for staff: the given permissions, and the one for the panel. */
export const staffAccess = (...permissions: string[]) =>
  ({ auth: 'required', via: 'session', permission: ['view filament', ...permissions] }) as const

/** Excludes pages from the OpenAPI document. */
export const HIDDEN = { hide: true } as const
