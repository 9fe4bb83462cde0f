import { Command } from 'commander'
import { pruneEndedTokens } from '#src/accounts/maintenance.ts'
import { createTokens } from '#src/accounts/tokens.ts'
import { ABILITIES, unknownAbilities } from '#src/auth/ability.ts'
import { type TokenDateColumns, type TokenLifetimes, tokenDates, tokenEnd } from '#src/auth/identity.ts'
import { normalizeTitle } from '#src/auth/name.ts'
import { HOUR_MS, millisToSeconds } from '#src/auth/time.ts'
import { parseAbilities } from '#src/auth/token.ts'
import { findToken, listTokens } from '#src/database/tokens.ts'
import { MAX_TOKEN_NAME } from '#src/input/token.ts'
import { HttpError } from '#src/responses/errors.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import {
  type CommandContext,
  CommandError,
  type OperatorContext,
  withDatabase,
  withOperator,
} from './context.ts'
import { collect, formatColumns, parseCount, parseTime, parseTokenId, requireUserByEmail } from './options.ts'

/** `token create | list | revoke | rotate | prune`: manages personal access tokens. */
export const tokenCommand = (context: CommandContext) =>
  new Command('token')
    .description('manage personal access tokens')
    .addCommand(
      new Command('create')
        .description('issue a token and print it; it cannot be printed again')
        .requiredOption('--email <email>', "the owner's e-mail address")
        .requiredOption('--name <name>', 'what the token is for')
        .option('--ability <ability>', 'grant an ability instead of all; may be repeated', collect, [])
        .option('--expires-at <iso8601>', 'when it ends, in UTC unless an offset is given', parseTime)
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
        .description('revoke a token, or all tokens of a user')
        .argument('[id]', 'the number before the | of the token')
        .option('--all', 'revoke all tokens of the user with --email')
        .option('--email <email>', "the owner's e-mail address")
        .action((id: string | undefined, options: RevokeOptions, command: Command) =>
          revokeTokens(context, id, options, command),
        ),
    )
    .addCommand(
      new Command('rotate')
        .description('replace a token by a new one and print the new one')
        .argument('<id>', 'the number before the | of the token')
        .option('--grace <seconds>', 'how long the old one stays valid', parseCount, 0)
        .action((id: string, { grace }: { grace: number }, command: Command) =>
          rotateToken(context, parseTokenId(id, command), grace),
        ),
    )
    .addCommand(
      new Command('prune')
        .description('delete tokens that ended some time ago')
        .option('--hours <hours>', 'the minimum time since their end', parseCount, 24)
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

async function createToken(
  context: CommandContext,
  { email, name: given, ability, expiresAt }: CreateOptions,
) {
  const now = context.clock()
  if (expiresAt !== undefined && expiresAt <= now) {
    throw new CommandError('--expires-at lies in the past: the token would never be valid.')
  }
  const name = normalizeTitle(given)
  if (name === '' || [...name].length > MAX_TOKEN_NAME) {
    throw new CommandError(`--name ${given}: expected 1 to ${MAX_TOKEN_NAME} visible characters.`)
  }
  for (const unknown of unknownAbilities(ability)) {
    context.warn(
      `--ability ${unknown}: no route requires it. Known abilities: ${Object.keys(ABILITIES).join(', ')}.`,
    )
  }
  await withOperator(context, 'token create', async accounts => {
    const { userId } = await requireUserByEmail(accounts, accounts.config, email)
    const { plain } = await tokensFor(context, accounts).issue(accounts.operator.actAs(userId), {
      name,
      abilities: ability.length === 0 ? null : ability,
      expires_at: expiresAt === undefined ? null : new Date(expiresAt).toISOString(),
    })
    context.print(plain.reveal())
  })
}

/** The token use-cases of the command. */
const tokensFor = ({ random }: CommandContext, { kysely, config, clock }: OperatorContext) =>
  createTokens({ kysely, config, clock, random })

async function listUsersTokens(context: CommandContext, email: string) {
  await withDatabase(context, 'token list', async (database, config) => {
    const { userId, types } = await requireUserByEmail(database, config, email)
    const tokens = await listTokens(database.kysely, { userId, types })
    const rows = tokens.map(token => [
      String(token.id),
      token.name,
      parseAbilities(token.abilities).join(',') || '-',
      token.last_used_at ?? 'never',
      formatEnd(token, config, context.clock()),
      token.created_at ?? '-',
    ])
    for (const line of formatColumns([
      ['ID', 'NAME', 'ABILITIES', 'LAST USED', 'ENDS', 'CREATED'],
      ...rows,
    ])) {
      context.print(line)
    }
  })
}

/** When a token ends, and whether it has ended. */
function formatEnd(token: TokenDateColumns, lifetimes: TokenLifetimes, now: EpochMillis): string {
  const end = tokenEnd(tokenDates(token), lifetimes)
  if (end === null) return 'never'
  const moment = Number.isFinite(end) ? millisToSeconds(end) : 'unknown'
  return end > now ? moment : `${moment} (ended)`
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
  if (isOne) parseTokenId(id, command)
  await withOperator(context, 'token revoke', async accounts => {
    const { operator, config } = accounts
    const tokens = tokensFor(context, accounts)
    if (email !== undefined) {
      const { userId } = await requireUserByEmail(accounts, config, email)
      const ended = await tokens.revoke(operator.actAs(userId), { except: null }, 'all')
      context.print(`Revoked ${ended} token${ended === 1 ? '' : 's'} of ${email}.`)
    } else if (id !== undefined) {
      const ended = await tokens.revokeAny(operator, id)
      if (ended === 0) throw new CommandError(`There is no token ${id}.`)
      const issued = ended - 1
      context.print(
        issued === 0
          ? `Revoked token ${id}.`
          : `Revoked token ${id}, and ${issued} issued by it or its descendants.`,
      )
    }
  })
}

async function rotateToken(context: CommandContext, id: number, grace: number) {
  await withOperator(context, 'token rotate', async accounts => {
    const { operator, kysely, config } = accounts
    const token = await findToken(kysely, id, config.tokenableTypes)
    const missing = new CommandError(`There is no token ${id} that belongs to a user.`)
    if (token === null) throw missing
    const { plain } = await tokensFor(context, accounts)
      .rotate(operator.actAs(token.userId), token.id, grace)
      .catch(error => {
        // It has ended since it was found.
        throw error instanceof HttpError && error.statusCode === 404 ? missing : error
      })
    context.print(plain.reveal())
  })
}

async function prune(context: CommandContext, hours: number) {
  await withDatabase(context, 'token prune', async ({ kysely }, config) => {
    await pruneEndedTokens(kysely, config, context.clock() - hours * HOUR_MS)
    if (config.tokenExpiration === null) context.warn('Expiration value not specified in configuration file.')
    context.print(`Tokens expired for more than [${hours} hours] pruned successfully.`)
  })
}
