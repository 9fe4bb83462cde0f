import { Command } from 'commander'
import { mintSecret, PlainToken, parseAbilities } from '../auth/token.ts'
import { deleteTokens, insertToken, listTokens, pruneTokens } from '../database/tokens.ts'
import { type CommandContext, CommandError, withDatabase } from './context.ts'
import { collect, parseCount, parseMoment, userByEmail } from './options.ts'

/** `token create | list | revoke | prune`: personal access tokens. */
export const tokenCommand = (context: CommandContext) =>
  new Command('token')
    .description('manage personal access tokens')
    .addCommand(
      new Command('create')
        .description('issue a token and print it, alone, once')
        .requiredOption('--email <email>', "the owner's e-mail address")
        .requiredOption('--name <name>', 'what the token is for')
        .option('--ability <ability>', 'grant an ability instead of all; may be repeated', collect, [])
        .option('--expires-at <iso8601>', 'when it ends, in UTC unless an offset is given', parseMoment)
        .action((options: CreateOptions) => createToken(context, options)),
    )
    .addCommand(
      new Command('list')
        .description("list a user's tokens")
        .requiredOption('--email <email>', "the owner's e-mail address")
        .action(({ email }: { email: string }) => listUsersTokens(context, email)),
    )
    .addCommand(
      new Command('revoke')
        .description("revoke a token, or all of a user's")
        .argument('[id]', 'the number before the | of the token')
        .option('--all', 'revoke all tokens of the user with --email')
        .option('--email <email>', "the owner's e-mail address")
        .action((id: string | undefined, options: RevokeOptions, command: Command) =>
          revokeTokens(context, id, options, command),
        ),
    )
    .addCommand(
      new Command('prune')
        .description('delete tokens that ended a while ago')
        .option('--hours <hours>', 'how long ago', parseCount, 24)
        .action(({ hours }: { hours: number }) => prune(context, hours)),
    )

interface CreateOptions {
  email: string
  name: string
  ability: string[]
  expiresAt?: number
}

interface RevokeOptions {
  all?: true
  email?: string
}

async function createToken(context: CommandContext, { email, name, ability, expiresAt }: CreateOptions) {
  const now = context.clock()
  if (expiresAt !== undefined && expiresAt <= now) {
    throw new CommandError('--expires-at lies in the past: the token would never work.')
  }
  await withDatabase(context, 'token create', async (database, config) => {
    const { userId, types } = await userByEmail(database, config, email)
    const secret = mintSecret(config.tokenPrefix, context.random)
    const id = await insertToken(database.kysely, {
      userId,
      userType: types[0],
      name,
      digest: secret.digest(),
      abilities: ability.length === 0 ? ['*'] : ability,
      expiresAt: expiresAt ?? null,
      now,
    })
    context.print(new PlainToken(id, secret).reveal())
  })
}

async function listUsersTokens(context: CommandContext, email: string) {
  await withDatabase(context, 'token list', async (database, config) => {
    const { userId, types } = await userByEmail(database, config, email)
    const tokens = await listTokens(database.kysely, userId, types)
    const rows = tokens.map(token => [
      String(token.id),
      token.name,
      parseAbilities(token.abilities).join(',') || '-',
      token.last_used_at ?? 'never',
      token.expires_at ?? 'never',
      token.created_at ?? '-',
    ])
    for (const line of columns([['ID', 'NAME', 'ABILITIES', 'LAST USED', 'EXPIRES', 'CREATED'], ...rows])) {
      context.print(line)
    }
  })
}

/** Lines of columns as wide as their widest cell. */
function columns(rows: string[][]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => (row[column] ?? '').length)))
  return rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

async function revokeTokens(
  context: CommandContext,
  id: string | undefined,
  { all, email }: RevokeOptions,
  command: Command,
) {
  const isOne = id !== undefined && !all && email === undefined
  const isAll = id === undefined && all && email !== undefined
  if (!isOne && !isAll) command.error('error: give either the ID of a token, or --all with --email')
  if (isOne && !/^\d{1,18}$/.test(id))
    command.error(`error: ID ${id}: expected the number before the | of the token`)
  await withDatabase(context, 'token revoke', async (database, config) => {
    if (email !== undefined) {
      const { userId, types } = await userByEmail(database, config, email)
      const count = await deleteTokens(database.kysely, { userId, userTypes: types })
      context.print(`Revoked ${count} token${count === 1 ? '' : 's'} of ${email}.`)
    } else if (id !== undefined) {
      if ((await deleteTokens(database.kysely, { id })) === 0)
        throw new CommandError(`There is no token ${id}.`)
      context.print(`Revoked token ${id}.`)
    }
  })
}

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000

async function prune(context: CommandContext, hours: number) {
  await withDatabase(context, 'token prune', async ({ kysely }, { tokenExpiration }) => {
    const ended = context.clock() - hours * HOUR_MS
    await pruneTokens(kysely, ended, tokenExpiration === null ? null : ended - tokenExpiration * MINUTE_MS)
    if (tokenExpiration === null) context.warn('Expiration value not specified in configuration file.')
    context.print(`Tokens expired for more than [${hours} hours] pruned successfully.`)
  })
}
