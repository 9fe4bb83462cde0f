import { Command } from 'commander'
import { createStaffActions } from '#src/accounts/staff-actions.ts'
import { createUsers } from '#src/accounts/users.ts'
import { canonicalizeEmail } from '#src/auth/email.ts'
import { hashPassword } from '#src/auth/password.ts'
import { fillUserKeys, findCollisions } from '#src/database/user-keys.ts'
import { canonicalizeName, validateEmail, validateName } from '#src/input/account.ts'
import {
  type CommandContext,
  CommandError,
  type OperatorContext,
  withDatabase,
  withOperator,
} from './context.ts'
import {
  PASSWORD,
  type PasswordSource,
  passwordStdin,
  readNewPassword,
  requireAcceptablePassword,
} from './new-password.ts'
import { collect, formatColumns, requireUserByEmail } from './options.ts'
import { requireRole } from './role-names.ts'
import { userListCommand, userShowCommand } from './user-list.ts'

/** `user`: creates users and manages their accounts. */
export const userCommand = (context: CommandContext) =>
  new Command('user')
    .description('manage users')
    .addCommand(userListCommand(context))
    .addCommand(userShowCommand(context))
    .addCommand(
      new Command('create')
        .description('add a user')
        .requiredOption('--name <name>', 'the user name')
        .requiredOption('--email <email>', 'the e-mail address')
        .option(...PASSWORD)
        .addOption(passwordStdin())
        .option('--verified', 'mark the e-mail address as verified, which grants the default roles')
        .option('--role <role>', 'grant a role; may be repeated', collect, [])
        .action((options: CreateOptions, command: Command) => createUser(context, options, command)),
    )
    .addCommand(
      new Command('password')
        .description("set a user's password and end the user's sessions")
        .requiredOption('--email <email>', "the user's e-mail address")
        .option(...PASSWORD)
        .addOption(passwordStdin())
        .option(
          '--revoke-tokens',
          "revoke the user's tokens as well, as REVOKE_TOKENS_ON_PASSWORD_CHANGE does",
        )
        .action((options: PasswordOptions, command: Command) => setPassword(context, options, command)),
    )
    .addCommand(
      new Command('restore')
        .description(
          'restore a user who was deleted within the last month, without sessions and external profiles',
        )
        .requiredOption('--email <email>', "the user's e-mail address")
        .action(({ email }: { email: string }) => restore(context, email)),
    )
    .addCommand(
      new Command('collisions')
        .description('list users whose e-mail addresses or names are equivalent or confusable')
        .action(() => listCollisions(context)),
    )
    .addCommand(
      new Command('two-factor-disable')
        .description("remove a user's second factor, if it and the recovery codes are lost")
        .requiredOption('--email <email>', "the user's e-mail address")
        .action((options: { email: string }) => disableSecondFactor(context, options.email)),
    )

interface PasswordOptions extends PasswordSource {
  email: string
  revokeTokens?: true
}

async function setPassword(
  context: CommandContext,
  { email, revokeTokens, ...source }: PasswordOptions,
  command: Command,
) {
  const password = await readNewPassword(context, source, command)
  await withOperator(context, 'user password', async accounts => {
    const { config } = accounts
    const { userId, name } = await requireUserByEmail(accounts, config, email)
    await requireAcceptablePassword(context, config, password, { name, email })
    const hash = await hashPassword(password, config.hashRounds)
    const revokesTokens = revokeTokens === true || config.revokeTokensOnPasswordChange
    await usersFor(accounts).setPassword(accounts.operator, userId, { hash, revokesTokens })
    const tokens = revokesTokens ? 'All tokens are revoked.' : 'Tokens remain valid.'
    context.print(`${email} has a new password. All sessions have ended. ${tokens}`)
  })
}

const usersFor = (accounts: OperatorContext) =>
  createUsers({ ...accounts, staffActions: createStaffActions(accounts) })

async function restore(context: CommandContext, email: string) {
  await withOperator(context, 'user restore', async accounts => {
    const isRestored = await usersFor(accounts).restore(accounts.operator, email)
    if (!isRestored) throw new CommandError(`There is no deleted user with the e-mail address ${email}.`)
    context.print(`Restored ${email}, with all tokens.`)
  })
}

async function listCollisions(context: CommandContext) {
  await withDatabase(context, 'user collisions', async ({ kysely }) => {
    await fillUserKeys(kysely)
    const users = await findCollisions(kysely)
    if (users.length === 0) {
      context.print('No two users share an e-mail address or a name.')
      return
    }
    const rows = users.map(({ field, key, id, name, email }) => [field, key, String(id), name, email])
    for (const line of formatColumns([['SHARED', 'COMPARED BY', 'ID', 'NAME', 'EMAIL'], ...rows])) {
      context.print(line)
    }
  })
}

async function disableSecondFactor(context: CommandContext, email: string) {
  await withOperator(context, 'user two-factor-disable', async accounts => {
    const { userId } = await requireUserByEmail(accounts, accounts.config, email)
    const isRemoved = await usersFor(accounts).removeSecondFactor(accounts.operator, userId)
    context.print(
      isRemoved
        ? `Removed the second factor of ${email}: logins require only the password.`
        : `${email} has no second factor.`,
    )
  })
}

interface CreateOptions extends PasswordSource {
  name: string
  email: string
  verified?: true
  role: string[]
}

async function createUser(
  context: CommandContext,
  { verified, role, ...given }: CreateOptions,
  command: Command,
) {
  const name = canonicalizeName(given.name)
  const email = canonicalizeEmail(given.email)
  const [fault] = [
    ...validateName(name).map(sentence => `--name ${given.name}: ${sentence}`),
    ...validateEmail(email).map(sentence => `--email ${email}: ${sentence}`),
  ]
  if (fault !== undefined) throw new CommandError(fault)
  const password = await readNewPassword(context, given, command)
  await withOperator(context, 'user create', async accounts => {
    const { config } = accounts
    for (const given of role) await requireRole(accounts.kysely, given)
    await requireAcceptablePassword(context, config, password, { name, email })
    const id = await usersFor(accounts).create(accounts.operator, {
      name: name as string,
      email,
      password: await hashPassword(password, config.hashRounds),
      verified: verified === true,
      roles: role,
    })
    context.print(`Created user ${id}, ${name} <${email}>.`)
  })
}
