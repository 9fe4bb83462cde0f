import { Command } from 'commander'
import { loadConfig } from '#src/config/load.ts'
import { connectDatabase } from '#src/database/connect.ts'
import type { CommandContext } from './context.ts'

/** `openapi`: prints the OpenAPI document, without a database. */
export const openapiCommand = (context: CommandContext) =>
  new Command('openapi').description('print the OpenAPI document').action(async () => {
    const { buildApp } = await import('#src/app.ts')
    const config = loadConfig({ ...context.environment, LOG_LEVEL: 'silent' })
    const database = connectDatabase(config, { command: 'openapi', share: true, onLostConnection: () => {} })
    const app = buildApp({ config: { ...config, redisUrl: null }, database })
    await app.ready()
    context.print(JSON.stringify(await app.specification.document(), null, 2))
    await app.close()
  })
