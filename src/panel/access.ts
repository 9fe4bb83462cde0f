/** Who may see and use the panel's own pages: whoever is logged in. */
export const LOGGED_IN = { auth: 'required', via: 'session' } as const

/** Who may see pages before logging in. */
export const ANYBODY = { auth: 'optional', via: 'session' } as const

/** Who may see and do what those who run the place do: the permission for it, and the one for the panel. */
export const staff = (permission: string) =>
  ({ auth: 'required', via: 'session', permission: ['view filament', permission] }) as const

/** Pages are for people: the specification tells of none of them. */
export const HIDDEN = { hide: true } as const
