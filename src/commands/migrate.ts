import { Command } from 'commander'
import { migrate } from '#src/database/migrate.ts'
import { fillUserKeys } from '#src/database/user-keys.ts'
import { type CommandContext, withDatabase } from './context.ts'

/** `migrate`: brings the tables up to date. */
export const migrateCommand = (context: CommandContext) =>
  new Command('migrate')
    .description('bring the tables up to date; the server does so itself when it starts')
    .action(() =>
      withDatabase(context, 'migrate', async ({ kysely, migrations }) => {
        const names = await migrate(migrations)
        context.print(names.length === 0 ? 'Nothing to migrate.' : `Migrated: ${names.join(', ')}.`)
        const { filled, collisions } = await fillUserKeys(kysely)
        if (filled > 0)
          context.print(`Stored what ${filled === 1 ? 'one user is' : `${filled} users are`} compared by.`)
        if (collisions.length > 0) {
          context.warn(
            `${collisions.length} e-mail address${collisions.length === 1 ? ' has' : 'es have'} several accounts, in different forms: see "user collisions".`,
          )
        }
      }),
    )
