import { Command } from 'commander'
import { createBrowsers } from '#src/accounts/browsers.ts'
import { millisToSeconds } from '#src/auth/time.ts'
import { type CommandContext, CommandError, withDatabase, withOperator } from './context.ts'
import { formatColumns, requireUserByEmail } from './options.ts'

const EMAIL = ['--email <email>', "the user's e-mail address"] as const

/** `session list | end`: manages the browsers in which users are logged in. */
export const sessionCommand = (context: CommandContext) =>
  new Command('session')
    .description('manage the browsers in which users are logged in')
    .addCommand(
      new Command('list')
        .description('list the browsers in which a user is logged in')
        .requiredOption(...EMAIL)
        .action(({ email }: { email: string }) => list(context, email)),
    )
    .addCommand(
      new Command('end')
        .description('log out one or all browsers of a user')
        .argument('[id]', 'the ID from the list')
        .requiredOption(...EMAIL)
        .option('--all', 'log out all browsers')
        .action((id: string | undefined, options: { email: string; all?: true }, command: Command) =>
          end(context, id, options, command),
        ),
    )

async function list(context: CommandContext, email: string) {
  await withDatabase(context, 'session list', async (database, config) => {
    const { userId } = await requireUserByEmail(database, config, email)
    const { kysely } = database
    const browsers = await createBrowsers({ kysely, config, clock: context.clock }).list(userId)
    const rows = browsers.map(({ id, address, userAgent, lastActiveAt, isRemembered }) => [
      id,
      millisToSeconds(lastActiveAt),
      isRemembered ? 'yes' : 'no',
      address ?? '-',
      userAgent ?? '-',
    ])
    for (const line of formatColumns([['ID', 'LAST ACTIVE', 'REMEMBERED', 'ADDRESS', 'PROGRAM'], ...rows])) {
      context.print(line)
    }
  })
}

async function end(
  context: CommandContext,
  id: string | undefined,
  { email, all }: { email: string; all?: true },
  command: Command,
) {
  if ((id === undefined) !== (all === true)) command.error('error: give either the ID of a browser, or --all')
  await withOperator(context, 'session end', async ({ operator, ...accounts }) => {
    const { userId } = await requireUserByEmail(accounts, accounts.config, email)
    const ended = await createBrowsers(accounts).end(
      operator.actAs(userId),
      id === undefined ? 'all' : { id },
    )
    if (ended === 0 && id !== undefined) throw new CommandError(`${email} has no browser ${id}.`)
    context.print(id === undefined ? `${email} is logged out everywhere.` : `Logged out ${id}.`)
  })
}
