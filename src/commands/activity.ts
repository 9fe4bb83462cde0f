import { Command } from 'commander'
import { listEvents } from '#src/database/events.ts'
import { type CommandContext, withDatabase } from './context.ts'
import { formatColumns, parseCount, requireUserByEmail } from './options.ts'

/** `activity`: lists the events of a user's account. */
export const activityCommand = (context: CommandContext) =>
  new Command('activity')
    .description("list the events of a user's account, newest first")
    .requiredOption('--email <email>', "the user's e-mail address")
    .option('--most <count>', 'the maximum number of lines', parseCount, 50)
    .action((options: { email: string; most: number }) => list(context, options))

async function list(context: CommandContext, { email, most }: { email: string; most: number }) {
  await withDatabase(context, 'activity', async (database, config) => {
    const { userId } = await requireUserByEmail(database, config, email)
    const events = await listEvents(database.kysely, userId, { limit: most, withActors: true })
    const rows = events.map(({ created_at, event, details, ip_address, user_agent }) => [
      created_at,
      event,
      ip_address ?? '-',
      user_agent ?? '-',
      details === '{}' ? '' : details,
    ])
    for (const line of formatColumns([['AT', 'EVENT', 'ADDRESS', 'PROGRAM', 'DETAILS'], ...rows]))
      context.print(line)
  })
}
