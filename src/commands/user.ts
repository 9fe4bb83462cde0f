import { Command } from 'commander'
import { canonicalEmail } from '#src/auth/email.ts'
import { hashPassword } from '#src/auth/password.ts'
import { restoreUser } from '#src/database/deleted-users.ts'
import { changePassword } from '#src/database/passwords.ts'
import { grant, grantDefaultRoles } from '#src/database/permissions.ts'
import { removeSecondFactor } from '#src/database/second-factors.ts'
import { fillUserKeys, findCollisions } from '#src/database/user-keys.ts'
import { insertUser } from '#src/database/users.ts'
import { canonicalName, emailErrors, nameErrors } from '#src/input/account.ts'
import { type CommandContext, CommandError, recordEvent, withDatabase } from './context.ts'
import {
  newPassword,
  PASSWORD,
  type PasswordSource,
  passwordStdin,
  requireGoodPassword,
} from './new-password.ts'
import { collect, columns, userByEmail } from './options.ts'

/** `user`: adds users, and does for them what they cannot do themselves. */
export const userCommand = (context: CommandContext) =>
  new Command('user')
    .description('manage users')
    .addCommand(
      new Command('create')
        .description('add a user')
        .requiredOption('--name <name>', 'the user name')
        .requiredOption('--email <email>', 'the e-mail address')
        .option(...PASSWORD)
        .addOption(passwordStdin())
        .option('--verified', 'count the e-mail address as verified, which gives the default roles')
        .option('--role <role>', 'give a role; may be repeated', collect, [])
        .action((options: CreateOptions, command: Command) => createUser(context, options, command)),
    )
    .addCommand(
      new Command('password')
        .description("give a user a new password, which ends the user's sessions")
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
          'bring back a user who was deleted within the last month, without sessions and external profiles',
        )
        .requiredOption('--email <email>', "the user's e-mail address")
        .action(({ email }: { email: string }) => restore(context, email)),
    )
    .addCommand(
      new Command('collisions')
        .description('list users whose e-mail addresses or names are forms of one, or look alike')
        .action(() => listCollisions(context)),
    )
    .addCommand(
      new Command('two-factor-disable')
        .description("take a user's second factor away, for who has lost it and the recovery codes as well")
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
  const password = await newPassword(context, source, command)
  await withDatabase(context, 'user password', async (database, config) => {
    const { userId, name } = await userByEmail(database, config, email)
    await requireGoodPassword(context, config, password, { name, email })
    const hash = await hashPassword(password, config.hashRounds)
    const isRevoking = revokeTokens === true || config.revokeTokensOnPasswordChange
    await changePassword(database.kysely, userId, hash, {
      keep: null,
      revokeTokens: isRevoking ? config.tokenableTypes : null,
      now: context.clock(),
    })
    await recordEvent(context, database, userId, 'password changed', { revokedTokens: isRevoking })
    const tokens = isRevoking ? 'and so are all tokens' : 'tokens go on'
    context.print(`${email} has a new password. All sessions are over; ${tokens}.`)
  })
}

async function restore(context: CommandContext, email: string) {
  await withDatabase(context, 'user restore', async database => {
    const userId = await restoreUser(database.kysely, email, context.clock())
    if (userId === null) throw new CommandError(`No user with the e-mail address ${email} was deleted.`)
    await recordEvent(context, database, userId, 'account restored')
    context.print(`${email} is back, with all tokens.`)
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
    for (const line of columns([['SHARED', 'COMPARED BY', 'ID', 'NAME', 'EMAIL'], ...rows])) {
      context.print(line)
    }
  })
}

async function disableSecondFactor(context: CommandContext, email: string) {
  await withDatabase(context, 'user two-factor-disable', async (database, config) => {
    const { userId } = await userByEmail(database, config, email)
    const isRemoved = await removeSecondFactor(database.kysely, userId, context.clock())
    if (isRemoved) await recordEvent(context, database, userId, 'second factor removed')
    context.print(
      isRemoved
        ? `${email} has no second factor any more: the password alone logs in.`
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
  const name = canonicalName(given.name)
  const email = canonicalEmail(given.email)
  const [fault] = [
    ...nameErrors(name).map(sentence => `--name ${given.name}: ${sentence}`),
    ...emailErrors(email).map(sentence => `--email ${email}: ${sentence}`),
  ]
  if (fault !== undefined) throw new CommandError(fault)
  const password = await newPassword(context, given, command)
  await withDatabase(context, 'user create', async ({ kysely }, config) => {
    await requireGoodPassword(context, config, password, { name, email })
    const hash = await hashPassword(password, config.hashRounds)
    const id = await kysely.transaction().execute(async transaction => {
      const userId = await insertUser(transaction, {
        name: name as string,
        email,
        password: hash,
        verified: verified === true,
        now: context.clock(),
      })
      const holder = { userId, types: config.tokenableTypes }
      if (verified) await grantDefaultRoles(transaction, holder)
      const absent = await grant(transaction, 'role', holder, role)
      if (absent.length > 0) throw new CommandError(`There is no role ${absent.join(', ')}.`)
      return userId
    })
    context.print(`Created user ${id}, ${name} <${email}>.`)
  })
}
