import { Command } from 'commander'
import { type CommandContext, CommandError, withDatabase } from './context.ts'
import { findDemoAccess } from './demo-access.ts'

/** `demo`: shows how to log in as the demo user of the embedded database. */
export const demoCommand = (context: CommandContext) =>
  new Command('demo').description("show the demo user's password and token").action(() =>
    withDatabase(context, 'demo', async (database, config) => {
      if (config.databaseUrl !== null) {
        throw new CommandError(
          'On a PostgreSQL server they are shown once, by "seed --demo". Set another password with "user password --email demo@example.org", or issue a token with "token create".',
        )
      }
      const access = await findDemoAccess(database, config)
      if (access === null) throw new CommandError('There is no demo user: "seed --demo" adds one.')
      const { email, password, token } = access
      context.print(`email     ${email}`)
      context.print(`password  ${password ?? 'was changed: set another with "user password"'}`)
      context.print(`token     ${token ?? 'was revoked: issue another with "token create"'}`)
    }),
  )
