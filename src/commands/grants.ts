import { Command } from 'commander'
import { createRoles } from '#src/accounts/roles.ts'
import { createStaffActions } from '#src/accounts/staff-actions.ts'
import type { Grantable } from '#src/database/permissions.ts'
import { type CommandContext, withOperator } from './context.ts'
import { requireUserByEmail } from './options.ts'
import { requireName } from './role-names.ts'

interface Options {
  email: string
  role?: string
  permission?: string
}

/** `<kind> grant | revoke`: grants and revokes roles or permissions by name. */
export function grantsCommand(context: CommandContext, kind: Grantable, about: string): Command {
  const verb = (name: 'grant' | 'revoke', description: string) =>
    new Command(name)
      .description(description)
      .requiredOption('--email <email>', "the user's e-mail address")
      .requiredOption(`--${kind} <${kind}>`, `the ${kind}'s name`)
      .action((options: Options) =>
        withOperator(context, `${kind} ${name}`, async ({ operator, ...accounts }) => {
          const given = options[kind] ?? ''
          const { userId } = await requireUserByEmail(accounts, accounts.config, options.email)
          await requireName(accounts.kysely, kind, given)
          const roles = createRoles({ ...accounts, staffActions: createStaffActions(accounts) })
          await roles[name](operator, userId, kind, given)
          context.print(`${name === 'grant' ? 'Granted' : 'Revoked'} ${kind} ${given}: ${options.email}.`)
        }),
      )
  return new Command(kind)
    .description(about)
    .addCommand(verb('grant', `grant a user a ${kind}`))
    .addCommand(verb('revoke', `revoke a ${kind} from a user`))
}
