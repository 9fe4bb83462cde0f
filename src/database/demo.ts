import { type Kysely, sql, type Transaction } from 'kysely'
import { hashidEncoder, randomHashid } from '#src/auth/hashid.ts'
import { hashPassword } from '#src/auth/password.ts'
import { DAY_MS, HOUR_MS, millisToSeconds, millisToTimestamp } from '#src/auth/time.ts'
import { mintSecret, PlainToken } from '#src/auth/token.ts'
import { addWiki, type Pair } from './demo-wiki.ts'
import { grant, grantDefaultRoles } from './permissions.ts'
import type { Schema } from './schema.ts'
import { insertToken } from './tokens.ts'
import { inTransaction } from './transaction.ts'
import { findUserByEmail, insertUser } from './users.ts'

const [PUBLIC, PRIVATE, UNLISTED] = [0, 1, 2]
const [MY_ANIME_LIST, ANI_LIST, KITSU] = [0, 1, 2]

interface DemoUser {
  name: string
  email: string
  verified: boolean
  roles: string[]
  playlists: { name: string; description: string | null; visibility: number; tracks: number }[]
  profiles: { name: string; site: number; visibility: number; entries: number }[]
  notifications: number
}

const USERS: DemoUser[] = [
  {
    name: 'demo',
    email: 'demo@example.org',
    verified: true,
    roles: [],
    playlists: [
      {
        name: 'Best of 2025',
        description: 'One opening a week, as they aired.',
        visibility: PUBLIC,
        tracks: 12,
      },
      { name: 'Endings for the train home', description: null, visibility: PUBLIC, tracks: 8 },
      { name: 'Running', description: '160 bpm and up.', visibility: PUBLIC, tracks: 15 },
      {
        name: 'Karaoke, the safe ones',
        description: 'Everybody knows these.',
        visibility: UNLISTED,
        tracks: 9,
      },
      { name: 'To sort', description: null, visibility: PRIVATE, tracks: 20 },
      {
        name: 'Guess the anime, round 1',
        description: 'Do not look before Friday!',
        visibility: PRIVATE,
        tracks: 6,
      },
      { name: 'Insert songs that made me cry', description: null, visibility: PRIVATE, tracks: 4 },
      { name: 'Empty for now', description: null, visibility: UNLISTED, tracks: 0 },
    ],
    profiles: [
      { name: 'demo_al', site: ANI_LIST, visibility: PUBLIC, entries: 14 },
      { name: 'demo-mal', site: MY_ANIME_LIST, visibility: PRIVATE, entries: 9 },
      { name: 'demokitsu', site: KITSU, visibility: PUBLIC, entries: 5 },
    ],
    notifications: 5,
  },
  {
    name: 'yuki',
    email: 'yuki@example.org',
    verified: true,
    roles: ['Patron'],
    playlists: [
      { name: 'City pop closers', description: 'For the small hours.', visibility: PUBLIC, tracks: 7 },
      { name: 'Work in progress', description: null, visibility: PRIVATE, tracks: 3 },
    ],
    profiles: [{ name: 'yuki', site: KITSU, visibility: PUBLIC, entries: 6 }],
    notifications: 2,
  },
  {
    name: 'theo-r',
    email: 'theo@example.com',
    verified: true,
    roles: ['Contributor'],
    playlists: [
      { name: 'First openings of the nineties', description: null, visibility: PUBLIC, tracks: 10 },
    ],
    profiles: [],
    notifications: 0,
  },
  {
    name: 'mika',
    email: 'mika@example.org',
    verified: true,
    roles: ['Content Moderator'],
    playlists: [{ name: 'Test list, ignore', description: 'Really.', visibility: UNLISTED, tracks: 2 }],
    profiles: [{ name: 'mika', site: MY_ANIME_LIST, visibility: PRIVATE, entries: 4 }],
    notifications: 1,
  },
  {
    name: 'newcomer',
    email: 'newcomer@example.com',
    verified: false,
    roles: [],
    playlists: [],
    profiles: [],
    notifications: 0,
  },
]

/** How to get in as the demo user. */
export interface DemoAccess {
  email: string
  password: string
  token: PlainToken
}

export interface DemoOptions {
  /** Milliseconds since the epoch. */
  now: number
  random: (size: number) => Buffer
  hashRounds: number
  salt: string
  userTypes: readonly [string, ...string[]]
  tokenPrefix: string
}

/**
 * Adds a handful of users with playlists, profiles and notifications, all or nothing. The passwords are
 * random: that of the demo user is returned, and nobody knows the others'. Null when they are there already.
 */
export async function seedDemo(db: Kysely<Schema>, options: DemoOptions): Promise<DemoAccess | null> {
  const { now, random, hashRounds, userTypes } = options
  const [demo] = USERS as [DemoUser]
  if ((await findUserByEmail(db, demo.email)) !== null) return null

  const password = random(12).toString('base64url')
  const hash = await hashPassword(password, hashRounds)
  const nobodysHash = await hashPassword(random(24).toString('base64url'), hashRounds)
  const secret = mintSecret(options.tokenPrefix, random)

  return inTransaction(db, async transaction => {
    // Two who seed at once wait here for each other.
    await sql`lock table users in share row exclusive mode`.execute(transaction)
    if ((await findUserByEmail(transaction, demo.email)) !== null) return null
    const pairs = await addWiki(transaction)
    let demoId = 0
    for (const user of USERS) {
      const { name, email, verified } = user
      const userId = await insertUser(transaction, {
        name,
        email,
        verified,
        password: user === demo ? hash : nobodysHash,
        now: now - 90 * DAY_MS,
      })
      if (user === demo) demoId = userId
      const holder = { userId, types: userTypes }
      if (verified) await grantDefaultRoles(transaction, holder)
      await grant(transaction, 'role', holder, user.roles)
      await addPlaylists(transaction, userId, user, pairs, options)
      await addProfiles(transaction, userId, user, options)
    }
    const tokenId = await insertToken(transaction, {
      userId: demoId,
      userType: userTypes[0],
      name: 'demo',
      digest: secret.digest(),
      abilities: ['*'],
      expiresAt: null,
      now,
    })
    return { email: demo.email, password, token: new PlainToken(tokenId, secret) }
  })
}

async function addPlaylists(
  db: Transaction<Schema>,
  userId: number,
  { playlists }: DemoUser,
  pairs: readonly Pair[],
  { now, salt, random }: DemoOptions,
) {
  const hashids = hashidEncoder(salt)
  for (const [index, { name, description, visibility, tracks }] of playlists.entries()) {
    const createdAt = now - (playlists.length - index) * 9 * DAY_MS
    const timestamps = {
      created_at: millisToTimestamp(createdAt),
      updated_at: millisToTimestamp(createdAt + HOUR_MS),
    }
    const { playlist_id } = await db
      .insertInto('playlists')
      .values({ ...timestamps, name, description, visibility, user_id: userId })
      .returning('playlist_id')
      .executeTakeFirstOrThrow()
    if (tracks > 0) {
      await db
        .insertInto('playlist_tracks')
        .values(
          Array.from({ length: tracks }, (_, position) => {
            const pair = pairs[(playlist_id * 7 + position * 3) % pairs.length]
            return { ...timestamps, ...pair, playlist_id, position: position + 1 }
          }),
        )
        .execute()
    }
    const rows = await db
      .selectFrom('playlist_tracks')
      .select('track_id')
      .where('playlist_id', '=', playlist_id)
      .orderBy('position')
      .execute()
    const ids = rows.map(row => row.track_id)
    for (const [position, trackId] of ids.entries()) {
      await db
        .updateTable('playlist_tracks')
        .set({
          hashid: hashids.track(playlist_id, trackId),
          previous_id: ids[position - 1] ?? null,
          next_id: ids[position + 1] ?? null,
        })
        .where('track_id', '=', trackId)
        .execute()
    }
    await db
      .updateTable('playlists')
      .set({
        hashid: visibility === UNLISTED ? randomHashid(random) : hashids.playlist(userId, playlist_id),
        first_id: ids[0] ?? null,
        last_id: ids.at(-1) ?? null,
      })
      .where('playlist_id', '=', playlist_id)
      .execute()
  }
}

/** External profiles with their entries, and the notifications that their synchronisation left. */
async function addProfiles(
  db: Transaction<Schema>,
  userId: number,
  { profiles, notifications }: DemoUser,
  { now, random, userTypes }: DemoOptions,
) {
  const created_at = millisToTimestamp(now - 60 * DAY_MS)
  const timestamps = { created_at, updated_at: created_at }
  const data: string[] = []
  for (const { name, site, visibility, entries } of profiles) {
    const { profile_id } = await db
      .insertInto('external_profiles')
      .values({
        ...timestamps,
        name,
        site,
        visibility,
        user_id: userId,
        synced_at: created_at,
        external_user_id: null,
      })
      .returning('profile_id')
      .executeTakeFirstOrThrow()
    data.push(JSON.stringify({ profileId: profile_id, profileName: name }))
    if (entries === 0) continue
    await db
      .insertInto('external_entries')
      .values(
        Array.from({ length: entries }, (_, index) => ({
          ...timestamps,
          profile_id,
          anime_id: 100 + index,
          status: index % 6,
          is_favorite: index % 4 === 0,
          score: index % 5 === 4 ? null : 5.5 + (index % 9) / 2,
        })),
      )
      .execute()
  }

  const notification = (type: string, index: number) => {
    const at = millisToSeconds(now - (notifications - index) * 30 * HOUR_MS)
    const isRead = index % 2 === 0
    return {
      id: uuid(random),
      type,
      notifiable_type: userTypes[0],
      notifiable_id: userId,
      data: data[index % data.length] ?? '[]',
      read_at: isRead ? at : null,
      created_at: at,
      updated_at: at,
    }
  }
  if (notifications === 0) return
  await db
    .insertInto('notifications')
    .values([
      ...Array.from({ length: notifications }, (_, index) =>
        notification('App\\Notifications\\ExternalProfileSyncedNotification', index),
      ),
      // The panel's own, in the same table: nothing that the API shows.
      notification('Filament\\Notifications\\DatabaseNotification', 0),
    ])
    .execute()
}

/** A random UUID (RFC 9562 §5.4). */
function uuid(random: (size: number) => Buffer): string {
  const bytes = Buffer.from(random(16))
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
