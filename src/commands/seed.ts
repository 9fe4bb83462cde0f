import { Command } from 'commander'
import type { Kysely } from 'kysely'
import type { Config } from '#src/config/config.ts'
import { seedDemo } from '#src/database/demo.ts'
import { seedPermissions } from '#src/database/permissions.ts'
import type { Schema } from '#src/database/schema.ts'
import { type CommandContext, withDatabase } from './context.ts'
import { type ShownDemoAccess, storeDemoAccess } from './demo-access.ts'

/** `seed`: adds roles, permissions and optionally demo data. */
export const seedCommand = (context: CommandContext) =>
  new Command('seed')
    .description('add the roles and permissions that are missing')
    .option('--demo', 'add demo users with playlists, profiles and notifications too')
    .action(({ demo }: { demo?: true }) =>
      withDatabase(context, 'seed', async (database, config) => {
        await seedPermissions(database.kysely, context.clock())
        context.print('Roles and permissions are in place.')
        if (!demo) return
        const access = await addDemo(database.kysely, config, context)
        context.print(
          access === null
            ? 'The demo users already exist. "demo" shows how to log in as one.'
            : `Demo user ${access.email}, password ${access.password}, token ${access.token}`,
        )
      }),
    )

/** Adds the demo data and stores the demo access if possible; null if the demo users exist. */
export async function addDemo(
  db: Kysely<Schema>,
  config: Config,
  { clock, random }: Pick<CommandContext, 'clock' | 'random'>,
): Promise<ShownDemoAccess | null> {
  const access = await seedDemo(db, {
    now: clock(),
    random,
    hashRounds: config.hashRounds,
    salt: config.hashidsSalt,
    userTypes: config.tokenableTypes,
    tokenPrefix: config.tokenPrefix,
  })
  return access && storeDemoAccess(config, access)
}
