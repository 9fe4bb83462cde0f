import { CompiledQuery, type Transaction } from 'kysely'
import { type Ban, EVERYTHING, findDecidingBan } from '#src/auth/ban.ts'
import type { StoredToken, StoredUser, User } from '#src/auth/identity.ts'
import type { IdentityCache } from '#src/auth/identity-cache.ts'
import type { SessionDigest } from '#src/auth/session.ts'
import type { StoredSession } from '#src/auth/stored-session.ts'
import { millisToTimestamp, timestampToMillis } from '#src/auth/time.ts'
import type { TokenCredential } from '#src/auth/token.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Database } from './connect.ts'
import { rowParser, SESSION, SESSION_OWNER, TOKEN, USER, widthOf } from './identity-columns.ts'
import {
  type LookupResult,
  type RestraintRow,
  SELECT_RESTRAINTS,
  SELECT_SESSIONS,
  SELECT_TOKENS_BY_DIGEST,
  SELECT_TOKENS_BY_ID,
  SELECT_USERS,
} from './identity-statements.ts'
import { type Grants, type PermissionMap, type PermissionMaps, permissionMaps } from './permission-map.ts'
import type { Schema } from './schema.ts'
import { type LookupCaller, type SharedLookup, sharedLookup } from './shared-lookup.ts'

/** Looks up the identities of credentials. Concurrent lookups share one statement. */
export interface Identities {
  /** The token of a credential, with its owner; null for the owner when it is not a user, or deleted. */
  token(credential: TokenCredential, caller?: LookupCaller): Promise<StoredToken | null>
  /** A session, with its user; the user is null for a guest session, or when deleted. */
  session(id: SessionDigest, caller?: LookupCaller): Promise<StoredSession | null>
  /** A user by id, unless deleted. */
  user(id: number): Promise<StoredUser | null>
  /** The cached token of a credential. The digest still has to be compared; undefined when it is not cached. */
  rememberedToken(credential: TokenCredential): StoredToken | undefined
  /** The cached session of a logged-in user; undefined when it is not cached. */
  rememberedSession(id: SessionDigest): StoredSession | undefined
  /** The same lookups inside a transaction, which see its own writes and locks. They bypass the cache. */
  within(transaction: Transaction<Schema>): Pick<Identities, 'token' | 'session' | 'user'>
}

/** A row of a lookup: its key, the row's columns, and its owner's. */
type Cells = readonly [key: string, ...unknown[]]

/** How the rows of a lookup are parsed. */
interface RowParser<Stored> {
  /** The index of the user's first column. */
  userAt: number
  userOf(cells: Cells): User
  storedOf(cells: Cells, owner: StoredUser | null): Stored
}

const rowParserOf = <Stored>(userAt: number, storedOf: RowParser<Stored>['storedOf']): RowParser<Stored> => ({
  userAt,
  userOf: rowParser(USER, userAt),
  storedOf,
})

const parseToken = rowParser(TOKEN, 1)

const TOKEN_ROW = rowParserOf<StoredToken>(1 + widthOf(TOKEN), (cells, owner) =>
  Object.assign(parseToken(cells), { owner }),
)

const parseSession = rowParser(SESSION, 1)
const parseSessionOwner = rowParser(SESSION_OWNER, 1 + widthOf(SESSION))

const SESSION_ROW = rowParserOf<StoredSession>(
  1 + widthOf(SESSION) + widthOf(SESSION_OWNER),
  (cells, owner) => {
    const { password } = parseSessionOwner(cells)
    return Object.assign(parseSession(cells), {
      owner: owner === null || password === null ? null : { ...owner, password },
    })
  },
)

const USER_ROW = rowParserOf<StoredUser | null>(1, (_cells, owner) => owner)

/**
 * Makes the identity lookups. Concurrent lookups of a kind share one statement.
 *
 * @param userTypes the `tokenable_type` and `model_type` values of users
 * @param cache the identity cache; null for none
 * @param maps further permission maps that may be used; null for none
 */
export function identities(
  database: Pick<Database, 'prepare'>,
  userTypes: readonly string[],
  clock: () => EpochMillis,
  cache: IdentityCache | null = null,
  maps: PermissionMaps | null = null,
): Identities {
  const mapOf = permissionMaps(database, maps)
  const selectRestraints = database.prepare<RestraintRow>('restraints', SELECT_RESTRAINTS)

  /** The bans of users who are banned from everything, by id. Bans of other users are not queried. */
  const bansOf = async (
    result: LookupResult<unknown>,
    map: PermissionMap,
    now: string,
  ): Promise<Map<string, Ban>> => {
    const restrained = Object.keys({ ...result.sanctions, ...result.prohibitions })
    const banned = restrained.filter(id => map.isBanned(grantsOf(result, id)))
    if (banned.length === 0) return new Map()
    const rows = await selectRestraints([banned, userTypes, now, EVERYTHING])
    return new Map(
      banned.map(id => {
        const own = rows.filter(({ user_id }) => String(user_id) === id).map(toRestraint)
        return [id, findDecidingBan(own, map.allPermissions)]
      }),
    )
  }

  const lookup = <Stored>(
    name: string,
    text: string,
    { userAt, userOf, storedOf }: RowParser<Stored>,
  ): SharedLookup<string, Stored> => {
    const select = database.prepare<LookupResult<Cells>>(name, text)
    return sharedLookup<string, Stored>(async keys => {
      const now = millisToTimestamp(clock())
      const [row] = await select([keys, userTypes, now])
      const stored = new Map<string, Stored>()
      if (row === undefined || row.found === null) return stored
      const map = await mapOf(row.version)
      const bans = await bansOf(row, map, now)
      for (const cells of row.found) {
        const owner = cells[userAt] === null ? null : toStoredUser(userOf(cells), row, map, bans)
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
  const token: Identities['token'] = ({ id, digest }, caller) =>
    id === null ? byDigest(digest, caller) : byId(id, caller)

  // Another connection would not see the transaction's writes, and on the embedded database it would deadlock with it.
  const within: Identities['within'] = transaction => {
    const { token, session, user } = identities(queriesOf(transaction), userTypes, clock, null, mapOf)
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
    async token(credential, caller) {
      const fill = cache.begin()
      const stored = await token(credential, caller)
      // Cached under the digest of the row: the presented one may be wrong.
      if (stored !== null) cache.tokens.put(fill, stored.digest, stored)
      return stored
    },
    async session(id, caller) {
      const fill = cache.begin()
      const stored = await session(id, caller)
      if (stored !== null) cache.sessions.put(fill, id, stored)
      return stored
    },
    rememberedToken({ id, digest }) {
      const stored = cache.tokens.get(digest)
      return id === null || id === String(stored?.id) ? stored : undefined
    },
    rememberedSession: id => cache.sessions.get(id),
  }
}

/** Runs lookups as statements of a transaction. */
const queriesOf = (transaction: Transaction<Schema>): Pick<Database, 'prepare'> => ({
  prepare:
    <Row>(_name: string, text: string) =>
    async (parameters: readonly unknown[]) => {
      const { rows } = await transaction.executeQuery<Row>(CompiledQuery.raw(text, [...parameters]))
      return rows
    },
})

/** Combines a user with the grants and bans that one statement returned. */
function toStoredUser(
  user: User,
  result: LookupResult<unknown>,
  map: PermissionMap,
  bans: ReadonlyMap<string, Ban>,
): StoredUser {
  const grants = grantsOf(result, user.id)
  return {
    user,
    permissions: map.permissions(grants),
    prohibitions: map.prohibitions(grants),
    ban: bans.get(String(user.id)) ?? null,
    changesAt: earliest(grants.sanctionsUntil, grants.prohibitionsUntil),
  }
}

/** Returns a user's grants, and when the first ban of each kind ends, if one does. */
function grantsOf(
  result: LookupResult<unknown>,
  id: number | string,
): Grants & { sanctionsUntil: string | undefined; prohibitionsUntil: string | undefined } {
  const [sanctions = '', sanctionsUntil] = (result.sanctions?.[id] ?? '').split(';')
  const [prohibitions = '', prohibitionsUntil] = (result.prohibitions?.[id] ?? '').split(';')
  const [roles, permissions] = [result.roles?.[id] ?? '', result.permissions?.[id] ?? '']
  return { roles, permissions, sanctions, prohibitions, sanctionsUntil, prohibitionsUntil }
}

const toRestraint = ({ is_whole, names, reason, expires_at }: RestraintRow) => {
  const end = timestampToMillis(expires_at ?? 'infinity')
  return { bansEverything: is_whole, names, reason, until: Number.isFinite(end) ? end : null }
}

const earliest = (...timestamps: (string | undefined)[]): number | null => {
  const moments = timestamps.filter(text => text !== undefined).map(timestampToMillis)
  return moments.length === 0 ? null : Math.min(...moments)
}
