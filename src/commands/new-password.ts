import { type Command, Option } from 'commander'
import type { Config } from '#src/config/config.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { createPasswordScreening, type PasswordOwner } from '#src/screening/new-passwords.ts'
import { type CommandContext, CommandError } from './context.ts'

/** The option for a password. */
export const PASSWORD = [
  '--password <password>',
  'the new password; prompted for on a terminal if absent',
] as const

/** The option to read a password from standard input. */
export const passwordStdin = () =>
  new Option('--password-stdin', 'read the new password from standard input, as one line').conflicts(
    'password',
  )

/** The source of a command's new password. */
export interface PasswordSource {
  password?: string
  passwordStdin?: true
}

/**
 * Returns the new password: from the option, from standard input, or by two prompts on a terminal.
 *
 * @throws {CommandError} for input of several lines, and for entries that differ
 * @throws {CommanderError} without a source
 */
export async function readNewPassword(
  context: CommandContext,
  { password, passwordStdin }: PasswordSource,
  command: Command,
): Promise<string> {
  if (passwordStdin || password === '-') return requireSingleLine(await context.readInput())
  if (password !== undefined) {
    context.warn(
      'warning: --password is visible in the process list of this machine and stays in the shell history. Omit it to be prompted, or use --password-stdin.',
    )
    return password
  }
  const { askSecretly } = context
  if (askSecretly === null) {
    command.error(
      'error: no password: run this on a terminal to be prompted for it, or use --password-stdin.',
    )
  }
  const entered = await askSecretly('New password: ')
  const repeated = await askSecretly('New password, once more: ')
  if (entered !== repeated) throw new CommandError(MESSAGES.rules.confirmed('password'))
  return entered
}

function requireSingleLine(input: string) {
  const line = input.replace(/\r?\n$/, '')
  if (/[\r\n]/.test(line)) throw new CommandError('--password-stdin: expected a single line.')
  return line
}

/**
 * Checks a password by the rules for new passwords.
 *
 * @throws {CommandError} with the errors
 */
export async function requireAcceptablePassword(
  context: CommandContext,
  config: Config,
  password: string,
  owner: PasswordOwner,
): Promise<void> {
  const screening = createPasswordScreening(config, () =>
    context.warn('warning: the service for leaked passwords failed; the check was skipped.'),
  )
  const entered = password === '' ? null : password
  const errors = await screening.errors(entered, entered, owner)
  if (errors.length > 0) throw new CommandError(errors.join(' '))
}
