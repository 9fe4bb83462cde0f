import { Command } from 'commander'
import { listRoles } from '#src/database/roles.ts'
import { type CommandContext, withDatabase } from './context.ts'
import { grantsCommand } from './grants.ts'
import { formatColumns } from './options.ts'
import { requireRole } from './role-names.ts'

/** `permission grant | revoke | list`. */
export const permissionCommand = (context: CommandContext) =>
  grantsCommand(
    context,
    'permission',
    'grant and revoke permissions directly, in addition to roles',
  ).addCommand(
    new Command('list')
      .description('list the permissions, with the roles that have them')
      .option('--role <role>', 'only those of this role')
      .action(({ role }: { role?: string }) => listAll(context, role)),
  )

async function listAll(context: CommandContext, only: string | undefined) {
  await withDatabase(context, 'permission list', async ({ kysely }) => {
    if (only !== undefined) await requireRole(kysely, only)
    const { roles, permissions } = await listRoles(kysely)
    const rows = permissions
      .map(permission => ({
        permission,
        holders: roles.filter(role => role.permissions.includes(permission)).map(({ name }) => name),
      }))
      .filter(({ holders }) => only === undefined || holders.includes(only))
      .map(({ permission, holders }) => [permission, holders.join(', ') || '-'])
    if (rows.length === 0) context.print('There are no permissions: run "seed".')
    else for (const line of formatColumns([['PERMISSION', 'ROLES'], ...rows])) context.print(line)
  })
}
