import { Command } from 'commander'
import { migrate } from '#src/database/migrate.ts'
import { ambiguityWarning } from '#src/database/unique-names.ts'
import { fillUserKeys } from '#src/database/user-keys.ts'
import { type CommandContext, withDatabase } from './context.ts'

/** `migrate`: runs the migrations. */
export const migrateCommand = (context: CommandContext) =>
  new Command('migrate')
    .description('run the migrations; the server also does so when it starts')
    .action(() =>
      withDatabase(context, 'migrate', async ({ kysely, migrations }) => {
        const { names, ambiguous } = await migrate(migrations)
        context.print(names.length === 0 ? 'Nothing to migrate.' : `Migrated: ${names.join(', ')}.`)
        for (const column of ambiguous) context.warn(ambiguityWarning(column))
        const { filled, collisions } = await fillUserKeys(kysely)
        if (filled > 0)
          context.print(`Stored the comparison keys of ${filled === 1 ? 'one user' : `${filled} users`}.`)
        if (collisions.length > 0) {
          context.warn(
            `${collisions.length} e-mail address${collisions.length === 1 ? ' has' : 'es have'} several accounts, in different forms: see "user collisions".`,
          )
        }
      }),
    )
