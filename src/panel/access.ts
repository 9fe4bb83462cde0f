/** Who may see and use the panel's own pages: whoever is logged in. */
export const LOGGED_IN = { auth: 'required', via: 'session' } as const

/** Who may do what asks for the password: whoever confirmed it lately, or enters it in the form itself. */
export const WITH_PASSWORD = { ...LOGGED_IN, password: 'confirmed or entered' } as const

/** Who may set up a second factor: users who have to, before everything else. */
export const SETTING_UP = { ...LOGGED_IN, beforeSecondFactor: true } as const

/** Who may log out: users who may do nothing else as well. */
export const LEAVING = { ...LOGGED_IN, whileBanned: true, beforeSecondFactor: true } as const

/** Who may see pages before logging in. */
export const ANYBODY = { auth: 'optional', via: 'session' } as const

/** Who may see and do what those who run the place do: the permissions for it, and the one for the panel. */
export const staff = (...permissions: string[]) =>
  ({ auth: 'required', via: 'session', permission: ['view filament', ...permissions] }) as const

/** Pages are for people: the specification tells of none of them. */
export const HIDDEN = { hide: true } as const
