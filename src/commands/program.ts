import { Command } from 'commander'
import { VERSION } from '#src/runtime/version.ts'
import { activityCommand } from './activity.ts'
import type { CommandContext } from './context.ts'
import { demoCommand } from './demo.ts'
import { doctorCommand } from './doctor.ts'
import { featureCommand } from './feature.ts'
import { keyCommand } from './key.ts'
import { migrateCommand } from './migrate.ts'
import { notificationCommand } from './notification.ts'
import { openapiCommand } from './openapi.ts'
import { permissionCommand } from './permission.ts'
import { playlistCommand } from './playlist.ts'
import { roleCommand } from './role.ts'
import { seedCommand } from './seed.ts'
import { serveCommand } from './serve.ts'
import { sessionCommand } from './session.ts'
import { tokenCommand } from './token.ts'
import { userCommand } from './user.ts'

/** The command line: every command with its options and help. */
export function createProgram(context: CommandContext): Command {
  const command = new Command('animethemes-auth')
    .description('Authentication and user API server for AnimeThemes')
    .version(VERSION)
    .addCommand(serveCommand(context))
    .addCommand(migrateCommand(context))
    .addCommand(seedCommand(context))
    .addCommand(demoCommand(context))
    .addCommand(keyCommand(context))
    .addCommand(userCommand(context))
    .addCommand(tokenCommand(context))
    .addCommand(sessionCommand(context))
    .addCommand(activityCommand(context))
    .addCommand(roleCommand(context))
    .addCommand(permissionCommand(context))
    .addCommand(notificationCommand(context))
    .addCommand(playlistCommand(context))
    .addCommand(featureCommand(context))
    .addCommand(doctorCommand(context))
    .addCommand(openapiCommand(context))
  configureErrors(command, context)
  return command
}

/** Makes usage errors throw instead of ending the process, and prints them as one line. */
function configureErrors(command: Command, context: CommandContext) {
  command.exitOverride().configureOutput({
    writeOut: text => context.print(text.trimEnd()),
    writeErr: text => context.warn(text.trimEnd()),
    outputError: (text, write) => write(text.trim().replace(/\s*\n\s*/g, ' ')),
  })
  for (const subcommand of command.commands) configureErrors(subcommand, context)
}
