import { PANEL_PATH } from '#src/config/paths.ts'

/** The list of the user's tokens, which is the start page. */
export const TOKENS_PATH = PANEL_PATH
export const DEVICES_PATH = `${PANEL_PATH}/devices`
export const ACTIVITY_PATH = `${PANEL_PATH}/activity`
/** The page for downloading all data, and the action of its form. */
export const EXPORT_PATH = `${PANEL_PATH}/export`
export const PASSWORD_PATH = `${PANEL_PATH}/password`
/** The page on which a user sets up the second factor. */
export const SECOND_FACTOR_PATH = `${PANEL_PATH}/second-factor`
export const USERS_PATH = `${PANEL_PATH}/users`
export const ROLES_PATH = `${PANEL_PATH}/roles`

export const LOGIN_PATH = `${PANEL_PATH}/login`
export const LOGOUT_PATH = `${PANEL_PATH}/logout`
/** The page that asks for the second factor during login. */
export const CHALLENGE_PATH = `${PANEL_PATH}/two-factor`
export const FORGOT_PASSWORD_PATH = `${PANEL_PATH}/forgot-password`
export const RESET_PASSWORD_PATH = `${PANEL_PATH}/reset-password`
export const NOT_ME_PATH = `${PANEL_PATH}/not-me`
export const REVERT_EMAIL_PATH = `${PANEL_PATH}/revert-email`

/** The action of the form for a new token. */
export const NEW_TOKEN_PATH = `${PANEL_PATH}/tokens`
export const REVOKE_ALL_TOKENS_PATH = `${PANEL_PATH}/tokens/revoke-all`
export const END_OTHER_DEVICES_PATH = `${DEVICES_PATH}/end-others`

/** The page of one of the user's tokens. */
export const tokenPath = (id: number): string => `${PANEL_PATH}/tokens/${id}`

/** The action of the form that logs a browser out. */
export const endDevicePath = (id: string): string => `${DEVICES_PATH}/${id}/end`

/** The page of a user, for staff. */
export const userPath = (id: number): string => `${USERS_PATH}/${id}`

/** The page of a role, for staff. */
export const rolePath = (id: number): string => `${ROLES_PATH}/${id}`

/** A page of the list of users. */
export const usersPath = ({ text, page }: { text: string; page: number }): string =>
  `${USERS_PATH}?${new URLSearchParams({ q: text, page: String(page) })}`

/** The page of the user's activity with the events before a given one. */
export const olderActivityPath = (eventId: number): string => `${ACTIVITY_PATH}?before=${eventId}`

const PANEL_PATTERN = new RegExp(`^${PANEL_PATH}(/[\\w-]+)*$`)

/** Whether a path is a page of the panel. Prevents open redirects after login, so only simple paths are accepted. */
export const isPanelPath = (path: unknown): path is string =>
  typeof path === 'string' && PANEL_PATTERN.test(path)
