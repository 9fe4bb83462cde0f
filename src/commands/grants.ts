import { Command } from 'commander'
import { lockUser } from '#src/database/authority.ts'
import { type Grantable, grant, revoke } from '#src/database/permissions.ts'
import { type CommandContext, CommandError, recordEvent, withDatabase } from './context.ts'
import { userByEmail } from './options.ts'

interface Options {
  email: string
  role?: string
  permission?: string
}

/** `<kind> grant | revoke`: what a user is given by name. */
export function grantsCommand(context: CommandContext, kind: Grantable, about: string): Command {
  const verb = (name: 'grant' | 'revoke', description: string, apply: typeof grant) =>
    new Command(name)
      .description(description)
      .requiredOption('--email <email>', "the user's e-mail address")
      .requiredOption(`--${kind} <${kind}>`, `the ${kind}'s name`)
      .action((options: Options) =>
        withDatabase(context, `${kind} ${name}`, async (database, config) => {
          const given = options[kind] ?? ''
          const holder = await userByEmail(database, config, options.email)
          const absent = await database.kysely.transaction().execute(async transaction => {
            await lockUser(transaction, holder.userId)
            return apply(transaction, kind, holder, [given])
          })
          if (absent.length > 0) throw new CommandError(`There is no ${kind} ${given}.`)
          const event = `${kind} ${name === 'grant' ? 'granted' : 'revoked'}` as const
          await recordEvent(context, database, holder.userId, event, { name: given })
          context.print(`${name === 'grant' ? 'Granted' : 'Revoked'} ${kind} ${given}: ${options.email}.`)
        }),
      )
  return new Command(kind)
    .description(about)
    .addCommand(verb('grant', `give a user a ${kind}`, grant))
    .addCommand(verb('revoke', `take a ${kind} from a user`, revoke))
}
