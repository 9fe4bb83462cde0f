import type { Setting } from './setting.ts'
import { ACCOUNTS } from './settings/accounts.ts'
import { LISTS } from './settings/lists.ts'
import { NETWORKS } from './settings/networks.ts'
import { OPERATION } from './settings/operation.ts'
import { PAGES_AND_MAIL } from './settings/pages-and-mail.ts'
import { SERVER } from './settings/server.ts'
import { SESSIONS } from './settings/sessions.ts'
import { TOKENS } from './settings/tokens.ts'

/** All variables that the server reads, in the order of the documentation. */
export const SETTINGS = {
  ...SERVER,
  ...PAGES_AND_MAIL,
  ...SESSIONS,
  ...TOKENS,
  ...ACCOUNTS,
  ...NETWORKS,
  ...LISTS,
  ...OPERATION,
}

type SettingName = keyof typeof SETTINGS

/** The values of the settings, without derived defaults. */
export type Values = { [K in SettingName]: (typeof SETTINGS)[K] extends Setting<infer T> ? T : never }
