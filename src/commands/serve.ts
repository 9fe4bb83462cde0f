import { Command } from 'commander'
import type { CommandContext } from './context.ts'

/** `serve`: runs the server until it receives a signal. */
export const serveCommand = (context: CommandContext) =>
  new Command('serve').description('run the server').action(async () => {
    // Only this command pays for loading the server, which takes a second.
    const { runServer } = await import('./run-server.ts')
    await runServer(context)
  })
