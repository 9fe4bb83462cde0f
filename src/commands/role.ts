import { Command } from 'commander'
import { countHolders, listRoles } from '#src/database/roles.ts'
import { type CommandContext, withDatabase } from './context.ts'
import { grantsCommand } from './grants.ts'
import { formatColumns } from './options.ts'

/** `role grant | revoke | list`. */
export const roleCommand = (context: CommandContext) =>
  grantsCommand(context, 'role', 'grant and revoke roles').addCommand(
    new Command('list')
      .description('list the roles with their numbers of users and permissions')
      .action(() => listAll(context)),
  )

async function listAll(context: CommandContext) {
  await withDatabase(context, 'role list', async ({ kysely }, { tokenableTypes }) => {
    const { roles } = await listRoles(kysely)
    const rows: string[][] = []
    for (const { id, name, isDefault, permissions } of roles) {
      const holders = await countHolders(kysely, id, tokenableTypes)
      rows.push([name, String(holders), isDefault ? 'yes' : 'no', String(permissions.length)])
    }
    if (rows.length === 0) context.print('There are no roles: run "seed".')
    else
      for (const line of formatColumns([['ROLE', 'USERS', 'DEFAULT', 'PERMISSIONS'], ...rows]))
        context.print(line)
  })
}
