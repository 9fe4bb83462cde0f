import type { CommandContext } from './context.ts'
import { grantsCommand } from './grants.ts'

/** `permission grant | revoke`. */
export const permissionCommand = (context: CommandContext) =>
  grantsCommand(context, 'permission', 'give and take permissions directly, beside those of roles')
