import type { CommandContext } from './context.ts'
import { grantsCommand } from './grants.ts'

/** `role grant | revoke`. */
export const roleCommand = (context: CommandContext) => grantsCommand(context, 'role', 'give and take roles')
