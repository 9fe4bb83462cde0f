import { Command } from 'commander'
import { loadConfig } from '#src/config/load.ts'
import { withAppKey } from '#src/config/persisted-key.ts'
import type { CommandContext } from './context.ts'

/** `serve`: runs the server until it receives a signal. */
export const serveCommand = (context: CommandContext) =>
  new Command('serve').description('run the server').action(async () => {
    const config = await withAppKey(loadConfig(context.environment))
    // Only this command pays for loading the server, which takes a second, and only once its settings are valid.
    const { runServer } = await import('./run-server.ts')
    await runServer(context, config)
  })
