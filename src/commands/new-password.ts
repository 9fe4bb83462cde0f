import { type Command, Option } from 'commander'
import type { Config } from '#src/config/config.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { type PasswordOwner, passwordScreening } from '#src/screening/new-passwords.ts'
import { type CommandContext, CommandError } from './context.ts'

/** The option that names a password. */
export const PASSWORD = [
  '--password <password>',
  'the new password; asked for on a terminal if it is not given',
] as const

/** The option that has a password read from standard input. */
export const passwordStdin = () =>
  new Option('--password-stdin', 'read the new password from standard input, as one line').conflicts(
    'password',
  )

/** Where a command's new password comes from. */
export interface PasswordSource {
  password?: string
  passwordStdin?: true
}

/**
 * The new password that is meant: given as an option, read from standard input, or asked for twice on a terminal.
 *
 * @throws {CommandError} if there is not one line, or what is entered twice is not the same
 * @throws {CommanderError} if there is no way to get it
 */
export async function newPassword(
  context: CommandContext,
  { password, passwordStdin }: PasswordSource,
  command: Command,
): Promise<string> {
  if (passwordStdin || password === '-') return oneLine(await context.readInput())
  if (password !== undefined) {
    context.warn(
      'warning: others on this machine see --password in the list of processes, and it stays in the history of the shell. Leave it out to be asked, or use --password-stdin.',
    )
    return password
  }
  const { askSecretly } = context
  if (askSecretly === null) {
    command.error(
      'error: no password: run this on a terminal to be asked for it, or send it to --password-stdin.',
    )
  }
  const entered = await askSecretly('New password: ')
  const repeated = await askSecretly('New password, once more: ')
  if (entered !== repeated) throw new CommandError(MESSAGES.rules.confirmed('password'))
  return entered
}

function oneLine(input: string) {
  const line = input.replace(/\r?\n$/, '')
  if (/[\r\n]/.test(line)) throw new CommandError('--password-stdin: expected one line, and there are more.')
  return line
}

/**
 * Lets only passwords go on that the rules for new ones allow, as everywhere else.
 *
 * @throws {CommandError} with what is wrong
 */
export async function requireGoodPassword(
  context: CommandContext,
  config: Config,
  password: string,
  owner: PasswordOwner,
): Promise<void> {
  const screening = passwordScreening(config, () =>
    context.warn('warning: the list of leaked passwords did not answer, and was not asked.'),
  )
  const entered = password === '' ? null : password
  const errors = await screening.errors(entered, entered, owner)
  if (errors.length > 0) throw new CommandError(errors.join(' '))
}
