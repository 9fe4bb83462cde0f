import { CompiledQuery, type Transaction } from 'kysely'
import { type Ban, decidingBan, EVERYTHING } from '#src/auth/ban.ts'
import type { StoredToken, StoredUser, User } from '#src/auth/identity.ts'
import type { IdentityCache } from '#src/auth/identity-cache.ts'
import type { SessionDigest } from '#src/auth/session.ts'
import type { StoredSession } from '#src/auth/stored-session.ts'
import { millisToTimestamp, timestampToMillis } from '#src/auth/time.ts'
import type { TokenCredential } from '#src/auth/token.ts'
import type { Database } from './connect.ts'
import { rowParser, SESSION, SESSION_OWNER, TOKEN, USER, widthOf } from './identity-columns.ts'
import {
  type Found,
  type RestraintRow,
  SELECT_RESTRAINTS,
  SELECT_SESSIONS,
  SELECT_TOKENS_BY_DIGEST,
  SELECT_TOKENS_BY_ID,
  SELECT_USERS,
} from './identity-statements.ts'
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

/** A row of a look-up: its key, what the key names, and whose that is. */
type Cells = readonly [key: string, ...unknown[]]

/** How the rows of a look-up are parsed. */
interface RowParser<Stored> {
  /** Where the user's columns begin. */
  userAt: number
  userOf(cells: Cells): User
  storedOf(cells: Cells, owner: StoredUser | null): Stored
}

const parsedAs = <Stored>(userAt: number, storedOf: RowParser<Stored>['storedOf']): RowParser<Stored> => ({
  userAt,
  userOf: rowParser(USER, userAt),
  storedOf,
})

const tokenOf = rowParser(TOKEN, 1)

const TOKEN_ROW = parsedAs<StoredToken>(1 + widthOf(TOKEN), (cells, owner) =>
  Object.assign(tokenOf(cells), { owner }),
)

const sessionOf = rowParser(SESSION, 1)
const sessionOwnerOf = rowParser(SESSION_OWNER, 1 + widthOf(SESSION))

const SESSION_ROW = parsedAs<StoredSession>(1 + widthOf(SESSION) + widthOf(SESSION_OWNER), (cells, owner) => {
  const { password } = sessionOwnerOf(cells)
  return Object.assign(sessionOf(cells), {
    owner: owner === null || password === null ? null : { ...owner, password },
  })
})

const USER_ROW = parsedAs<StoredUser | null>(1, (_cells, owner) => owner)

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

  const lookup = <Stored>(
    name: string,
    text: string,
    { userAt, userOf, storedOf }: RowParser<Stored>,
  ): SharedLookup<string, Stored> => {
    const select = database.prepare<Found<Cells>>(name, text)
    return sharedLookup<string, Stored>(async keys => {
      const now = millisToTimestamp(clock())
      const [row] = await select([keys, userTypes, now])
      const stored = new Map<string, Stored>()
      if (row === undefined || row.found === null) return stored
      const map = await mapOf(row.version)
      const bans = await bansOf(row, map, now)
      for (const cells of row.found) {
        const owner = cells[userAt] === null ? null : storedUser(userOf(cells), row, map, bans)
        stored.set(cells[0], storedOf(cells, owner))
      }
      return stored
    })
  }

  const byId = lookup('tokens_by_id', SELECT_TOKENS_BY_ID, TOKEN_ROW)
  const byDigest = lookup('tokens_by_digest', SELECT_TOKENS_BY_DIGEST, TOKEN_ROW)
  const session = lookup('sessions_by_id', SELECT_SESSIONS, SESSION_ROW)
  const byUserId = lookup('users_by_id', SELECT_USERS, USER_ROW)
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

/** A user with what one statement's answer says that the user may and may not do. */
function storedUser(
  user: User,
  given: Found<unknown>,
  map: PermissionMap,
  bans: ReadonlyMap<string, Ban>,
): StoredUser {
  const grants = grantsOf(given, user.id)
  return {
    user,
    permissions: map.permissions(grants),
    prohibitions: map.prohibitions(grants),
    ban: bans.get(String(user.id)) ?? null,
    changesAt: earliest(grants.sanctionsUntil, grants.prohibitionsUntil),
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
