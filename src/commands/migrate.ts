import { Command } from 'commander'
import { migrate } from '../database/migrate.ts'
import { type CommandContext, withDatabase } from './context.ts'

/** `migrate`: brings the tables up to date. */
export const migrateCommand = (context: CommandContext) =>
  new Command('migrate')
    .description('bring the tables up to date; the server does so itself when it starts')
    .action(() =>
      withDatabase(context, 'migrate', async ({ migrations }) => {
        const names = await migrate(migrations)
        context.print(names.length === 0 ? 'Nothing to migrate.' : `Migrated: ${names.join(', ')}.`)
      }),
    )
