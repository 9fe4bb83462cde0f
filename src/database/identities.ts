import { CompiledQuery, type Transaction } from 'kysely'
import { parseAllowedIps } from '#src/auth/address-list.ts'
import { type Ban, decidingBan, EVERYTHING } from '#src/auth/ban.ts'
import type { StoredToken, StoredUser } from '#src/auth/identity.ts'
import type { IdentityCache } from '#src/auth/identity-cache.ts'
import { type PasswordStamp, parseSessionPayload, type SessionDigest } from '#src/auth/session.ts'
import type { StoredSession } from '#src/auth/stored-session.ts'
import { millisToTimestamp, timestampToMillis } from '#src/auth/time.ts'
import { parseAbilities, type TokenCredential, type TokenDigest } from '#src/auth/token.ts'
import type { Database } from './connect.ts'
import { type Grants, type PermissionMap, type PermissionMaps, permissionMaps } from './permission-map.ts'
import type { Schema } from './schema.ts'
import { type Asker, type SharedLookup, sharedLookup } from './shared-lookup.ts'

/** Finds out what credentials lead to: one statement for all who ask at the same time. */
export interface Identities {
  /** The token that a credential names, with its owner unless that is no user or one who is deleted. */
  token(credential: TokenCredential, asker?: Asker): Promise<StoredToken | null>
  /** A session, with whoever logged in unless that is no user or one who is deleted. */
  session(id: SessionDigest, asker?: Asker): Promise<StoredSession | null>
  /** A user who is not deleted, by the id. */
  user(id: number): Promise<StoredUser | null>
  /** The token that a credential names, if that is remembered: what it is not, is to be asked for. */
  rememberedToken(credential: TokenCredential): StoredToken | undefined
  /** A session, if it is remembered and somebody has logged in. */
  rememberedSession(id: SessionDigest): StoredSession | undefined
  /** The same look-ups inside a transaction, which see what it has locked; nothing is remembered of them. */
  within(transaction: Transaction<Schema>): Pick<Identities, 'token' | 'session' | 'user'>
}

/** A user's columns, as they stand behind those of what was looked up. */
type UserCells = [
  id: number | null,
  name: string,
  email: string,
  emailVerifiedAt: string | null,
  twoFactorConfirmedAt: string | null,
  hasSecondFactor: boolean,
  createdAt: string,
  updatedAt: string,
]

type TokenCells = [
  key: string,
  id: number,
  name: string,
  token: string,
  abilities: string | null,
  expiresAt: string | null,
  createdAt: string | null,
  lastUsedAt: string | null,
  allowedIps: string | null,
  ...UserCells,
]

type KeyedUserCells = [key: string, ...UserCells]

type SessionCells = [
  key: string,
  userId: number | null,
  payload: string,
  lastActivity: number,
  password: string | null,
  ...UserCells,
]

/** What all look-ups of one statement led to: the only row that it returns. */
interface Found<Cells> {
  version: number
  found: Cells[] | null
  roles: GrantsByUser | null
  permissions: GrantsByUser | null
  sanctions: GrantsByUser | null
  prohibitions: GrantsByUser | null
}

/** Ids with commas between them, by the user's id; behind a semicolon when the first of them ends, if one does. */
type GrantsByUser = Record<string, string>

const USER = `u.id, u.name, u.email, u.email_verified_at::text, u.two_factor_confirmed_at::text,
      u.two_factor_secret is not null and u.two_factor_confirmed_at is not null,
      u.created_at::text, u.updated_at::text`

/** What the users among the found have been given, from one table. */
const grants = (table: string, id: string, { end = '', condition = '' } = {}) => `(
    select json_object_agg(model_id, ids) from (
      select model_id, string_agg(${id}::text, ',')${end} as ids from ${table}
      where model_id = any((select ids from holders)::bigint[]) and model_type = any($2) ${condition}
      group by model_id
    ) as given
  )`

const PASSING = {
  end: ` || coalesce(';' || min(expires_at)::text, '')`,
  condition: 'and (expires_at is null or expires_at > $3)',
}

/**
 * Looks several keys up at once, with their users and what those have been given. Cells come as JSON and grants by
 * ids, for the whole set: for each row and column by itself, the database and the driver would take several times
 * as long. Of the parameters the first is the keys, the second the class names that mean a user, and the third the
 * moment at which prohibitions may have ended.
 */
const lookUp = (cells: string, from: string) => `
  with found as materialized (
    select json_build_array(${cells}, ${USER}) as cells, u.id as user_id from ${from}
  ),
  holders as materialized (select array(select user_id from found) as ids)
  select
    (select version from permission_versions) as version,
    (select json_agg(cells) from found) as found,
    ${grants('model_has_roles', 'role_id')} as roles,
    ${grants('model_has_permissions', 'permission_id')} as permissions,
    ${grants('model_sanctions', 'sanction_id', PASSING)} as sanctions,
    ${grants('model_prohibitions', 'prohibition_id', PASSING)} as prohibitions`

const selectTokens = (key: string, condition: string) =>
  lookUp(
    `${key}, t.id, t.name, t.token, t.abilities, t.expires_at::text, t.created_at::text, t.last_used_at::text, t.allowed_ips`,
    `personal_access_tokens t
    left join users u on u.id = t.tokenable_id and t.tokenable_type = any($2) and u.deleted_at is null
    where ${condition}`,
  )

/** The stamp of the password of the user `u`, so that its hash stays where it is. */
export const PASSWORD_STAMP = `encode(sha256(convert_to(u.password, 'UTF8')), 'hex')`

const SELECT_SESSIONS = lookUp(
  `s.id, s.user_id, s.payload, s.last_activity, ${PASSWORD_STAMP}`,
  `sessions s left join users u on u.id = s.user_id and u.deleted_at is null where s.id = any($1::text[])`,
)

const SELECT_USERS = lookUp('u.id::text', 'users u where u.id = any($1::bigint[]) and u.deleted_at is null')

interface RestraintRow {
  user_id: number
  is_whole: boolean
  names: string[]
  reason: string | null
  expires_at: string | null
}

/** By what users are banned at the moment: parameters as for the look-ups, and the name of the ban from everything. */
const SELECT_RESTRAINTS = `
  select m.model_id as user_id, s.name = $4 as is_whole, array(
      select p.name from sanction_prohibition sp join prohibitions p on p.id = sp.prohibition_id
      where sp.sanction_id = s.id
    ) as names, m.reason, m.expires_at::text as expires_at
  from model_sanctions m join sanctions s on s.id = m.sanction_id
  where m.model_id = any($1::bigint[]) and m.model_type = any($2) and (m.expires_at is null or m.expires_at > $3)
  union all
  select m.model_id, false, array[p.name], m.reason, m.expires_at::text
  from model_prohibitions m join prohibitions p on p.id = m.prohibition_id
  where m.model_id = any($1::bigint[]) and m.model_type = any($2) and (m.expires_at is null or m.expires_at > $3)`

/**
 * Finds out whose tokens and sessions are: all that is asked for at the same time shares a statement.
 *
 * @param userTypes the class names that mean a user
 * @param clock milliseconds since the epoch
 * @param cache what remembers identities; null to ask each time
 * @param maps whose knowledge of roles and permissions counts as well; null for none
 */
export function identities(
  database: Pick<Database, 'prepare'>,
  userTypes: readonly string[],
  clock: () => number,
  cache: IdentityCache | null = null,
  maps: PermissionMaps | null = null,
): Identities {
  const mapOf = permissionMaps(database, maps)
  const selectRestraints = database.prepare<RestraintRow>('restraints', SELECT_RESTRAINTS)

  /** The bans of those who are banned from everything, by their ids: nobody else's are asked for. */
  const bansOf = async (
    given: Found<unknown>,
    map: PermissionMap,
    now: string,
  ): Promise<Map<string, Ban>> => {
    const restrained = Object.keys({ ...given.sanctions, ...given.prohibitions })
    const banned = restrained.filter(id => map.isBanned(grantsOf(given, id)))
    if (banned.length === 0) return new Map()
    const rows = await selectRestraints([banned, userTypes, now, EVERYTHING])
    return new Map(
      banned.map(id => {
        const own = rows.filter(({ user_id }) => String(user_id) === id).map(restraintOf)
        return [id, decidingBan(own, map.allPermissions)]
      }),
    )
  }

  const lookup = <Cells extends [key: string, ...unknown[]], Stored>(
    name: string,
    text: string,
    storedOf: (cells: Cells, ownerOf: OwnerOf) => Stored,
  ): SharedLookup<string, Stored> => {
    const select = database.prepare<Found<Cells>>(name, text)
    return sharedLookup<string, Stored>(async keys => {
      const now = millisToTimestamp(clock())
      const [row] = await select([keys, userTypes, now])
      const stored = new Map<string, Stored>()
      if (row === undefined || row.found === null) return stored
      const map = await mapOf(row.version)
      const ownerOf = owners(row, map, await bansOf(row, map, now))
      for (const cells of row.found) stored.set(cells[0], storedOf(cells, ownerOf))
      return stored
    })
  }

  const byId = lookup('tokens_by_id', selectTokens('t.id::text', 't.id = any($1::bigint[])'), tokenOf)
  const byDigest = lookup('tokens_by_digest', selectTokens('t.token', 't.token = any($1::text[])'), tokenOf)
  const session = lookup('sessions_by_id', SELECT_SESSIONS, sessionOf)
  const byUserId = lookup('users_by_id', SELECT_USERS, ([, ...cells]: KeyedUserCells, ownerOf) =>
    ownerOf(cells),
  )
  const user: Identities['user'] = id => byUserId(String(id))
  const token: Identities['token'] = ({ id, digest }, asker) =>
    id === null ? byDigest(digest, asker) : byId(id, asker)

  // Another connection would not see what the transaction does, and on the embedded database wait for it for ever.
  const within: Identities['within'] = transaction => {
    const { token, session, user } = identities(over(transaction), userTypes, clock, null, mapOf)
    return { token, session, user }
  }

  if (cache === null) {
    return {
      token,
      session,
      user,
      rememberedToken: () => undefined,
      rememberedSession: () => undefined,
      within,
    }
  }
  return {
    user,
    within,
    async token(credential, asker) {
      const fill = cache.begin()
      const stored = await token(credential, asker)
      // By the digest of the row, not by the one presented, which may be wrong.
      if (stored !== null) cache.tokens.keep(fill, stored.digest, stored)
      return stored
    },
    async session(id, asker) {
      const fill = cache.begin()
      const stored = await session(id, asker)
      if (stored !== null) cache.sessions.keep(fill, id, stored)
      return stored
    },
    rememberedToken({ id, digest }) {
      const stored = cache.tokens.get(digest)
      return id === null || id === String(stored?.id) ? stored : undefined
    },
    rememberedSession: id => cache.sessions.get(id),
  }
}

/** Statements that a transaction runs. */
const over = (transaction: Transaction<Schema>): Pick<Database, 'prepare'> => ({
  prepare:
    <Row>(_name: string, text: string) =>
    async (parameters: readonly unknown[]) => {
      const { rows } = await transaction.executeQuery<Row>(CompiledQuery.raw(text, [...parameters]))
      return rows
    },
})

/** Makes an owner of a user's cells; null when there is no such user. */
type OwnerOf = (cells: UserCells) => StoredUser | null

/** What the users of one statement's answer may and may not do. */
function owners(given: Found<unknown>, map: PermissionMap, bans: ReadonlyMap<string, Ban>): OwnerOf {
  return ([id, ...cells]) => {
    const [name, email, emailVerifiedAt, twoFactorConfirmedAt, hasSecondFactor, createdAt, updatedAt] = cells
    if (id === null) return null
    const grants = grantsOf(given, id)
    return {
      user: {
        id,
        name,
        email,
        emailVerifiedAt,
        twoFactorConfirmedAt,
        hasSecondFactor,
        createdAt,
        updatedAt,
      },
      permissions: map.permissions(grants),
      prohibitions: map.prohibitions(grants),
      ban: bans.get(String(id)) ?? null,
      changesAt: earliest(grants.sanctionsUntil, grants.prohibitionsUntil),
    }
  }
}

/** What a user has been given, and when the first ban of each kind ends, if one does. */
function grantsOf(
  given: Found<unknown>,
  id: number | string,
): Grants & { sanctionsUntil: string | undefined; prohibitionsUntil: string | undefined } {
  const [sanctions = '', sanctionsUntil] = (given.sanctions?.[id] ?? '').split(';')
  const [prohibitions = '', prohibitionsUntil] = (given.prohibitions?.[id] ?? '').split(';')
  const [roles, permissions] = [given.roles?.[id] ?? '', given.permissions?.[id] ?? '']
  return { roles, permissions, sanctions, prohibitions, sanctionsUntil, prohibitionsUntil }
}

const restraintOf = ({ is_whole, names, reason, expires_at }: RestraintRow) => {
  const end = timestampToMillis(expires_at ?? 'infinity')
  return { isWhole: is_whole, names, reason, until: Number.isFinite(end) ? end : null }
}

const earliest = (...timestamps: (string | undefined)[]): number | null => {
  const moments = timestamps.filter(text => text !== undefined).map(timestampToMillis)
  return moments.length === 0 ? null : Math.min(...moments)
}

function tokenOf(cells: TokenCells, ownerOf: OwnerOf): StoredToken {
  const [, id, name, digest, abilities, expiresAt, createdAt, lastUsedAt, allowedIps, ...user] = cells
  return {
    id,
    name,
    digest: digest as TokenDigest,
    abilities: parseAbilities(abilities),
    expiresAt: expiresAt === null ? null : timestampToMillis(expiresAt),
    createdAt: createdAt === null ? null : timestampToMillis(createdAt),
    lastUsedAt: lastUsedAt === null ? null : timestampToMillis(lastUsedAt),
    allowedIps: parseAllowedIps(allowedIps),
    owner: ownerOf(user),
  }
}

function sessionOf(cells: SessionCells, ownerOf: OwnerOf): StoredSession {
  const [, userId, payload, lastActivity, password, ...user] = cells
  const owner = ownerOf(user)
  return {
    userId,
    payload: parseSessionPayload(payload),
    lastActivity,
    owner: owner === null || password === null ? null : { ...owner, password: password as PasswordStamp },
  }
}
