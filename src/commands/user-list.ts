import { Command } from 'commander'
import { findUserDetails, searchUsers } from '#src/database/user-directory.ts'
import { type CommandContext, CommandError, withDatabase } from './context.ts'
import { formatColumns, parsePositive, requireUserByEmail } from './options.ts'
import { requireRole } from './role-names.ts'

interface ListOptions {
  search: string
  role?: string
  most: number
}

/** `user list`: searches users. */
export const userListCommand = (context: CommandContext) =>
  new Command('list')
    .description('list users, newest first')
    .option('--search <text>', 'only those whose name, e-mail address or id matches', '')
    .option('--role <role>', 'only those with this role')
    .option('--most <count>', 'the maximum number of users', parsePositive, 100)
    .action((options: ListOptions) => list(context, options))

/** `user show`: shows one user. */
export const userShowCommand = (context: CommandContext) =>
  new Command('show')
    .description("show a user's roles, permissions, tokens and sessions")
    .requiredOption('--email <email>', "the user's e-mail address")
    .action(({ email }: { email: string }) => show(context, email))

async function list(context: CommandContext, { search, role, most }: ListOptions) {
  await withDatabase(context, 'user list', async ({ kysely }, config) => {
    if (role !== undefined) await requireRole(kysely, role)
    const users = await searchUsers(kysely, {
      text: search,
      role: role ?? null,
      types: config.tokenableTypes,
      offset: 0,
      limit: most,
    })
    if (users.length === 0) throw new CommandError('No user matches.')
    const rows = users.map(({ id, name, email, isVerified, roles }) => [
      String(id),
      name,
      email,
      isVerified ? 'yes' : 'no',
      roles.join(', ') || '-',
    ])
    for (const line of formatColumns([['ID', 'NAME', 'EMAIL', 'VERIFIED', 'ROLES'], ...rows]))
      context.print(line)
  })
}

async function show(context: CommandContext, email: string) {
  await withDatabase(context, 'user show', async (database, config) => {
    const { kysely } = database
    const { userId } = await requireUserByEmail(database, config, email)
    const user = await findUserDetails(kysely, userId, config.tokenableTypes)
    if (user === null) throw new CommandError(`There is no user with the e-mail address ${email}.`)
    const rows = [
      ['id', String(user.id)],
      ['name', user.name],
      ['email', user.email],
      ['verified', user.isVerified ? 'yes' : 'no'],
      ['created', `${user.createdAt} UTC`],
      ['second factor', user.hasSecondFactor ? 'yes' : 'no'],
      ['roles', user.roles.join(', ') || '-'],
      ['tokens', String(user.tokens)],
      ['sessions', String(user.sessions)],
      ['permissions', user.permissions.join(', ') || '-'],
    ]
    for (const line of formatColumns(rows)) context.print(line)
  })
}
