import { sql, type Transaction } from 'kysely'
import { hashidEncoder, randomHashid } from '#src/auth/hashid.ts'
import { DAY_MS, HOUR_MS, millisToSeconds, millisToTimestamp } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { type DemoUser, UNLISTED } from './demo-users.ts'
import type { DemoWiki, EntryVideo } from './demo-wiki.ts'
import type { Schema } from './schema.ts'

/** How the demo data is generated. */
export interface DemoOptions {
  now: EpochMillis
  random: (size: number) => Buffer
  hashRounds: number
  salt: string
  userTypes: readonly [string, ...string[]]
  tokenPrefix: string
}

/** Adds a demo user's playlists with their tracks, and the cover of an anime as their image. */
export async function addPlaylists(
  db: Transaction<Schema>,
  userId: number,
  { playlists }: DemoUser,
  { pairs, coverIds }: DemoWiki,
  { now, salt, random }: DemoOptions,
) {
  const hashids = hashidEncoder(salt)
  for (const [index, { name, description, visibility, tracks, only }] of playlists.entries()) {
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
    const themes = pairs.filter(pair => only === undefined || pair.type === only)
    const rows =
      tracks === 0
        ? []
        : await db
            .insertInto('playlist_tracks')
            .values(
              Array.from({ length: tracks }, (_, position) => {
                const { entry_id, video_id } = themes[
                  (playlist_id * 7 + position * 3) % themes.length
                ] as EntryVideo
                return { ...timestamps, entry_id, video_id, playlist_id, position: position + 1 }
              }),
            )
            .returning(['track_id', 'position'])
            .execute()
    const ids = rows.sort((one, other) => one.position - other.position).map(({ track_id }) => track_id)
    const trackHashids = ids.map(id => hashids.track(playlist_id, id))
    await sql`
      update playlist_tracks as t set hashid = o.hashid, previous_id = o.previous_id, next_id = o.next_id
      from (
        select id, hashid, lag(id) over (order by place) as previous_id, lead(id) over (order by place) as next_id
        from unnest(${ids}::bigint[], ${trackHashids}::text[]) with ordinality as given (id, hashid, place)
      ) as o
      where t.track_id = o.id`.execute(db)
    await db
      .updateTable('playlists')
      .set({
        hashid: visibility === UNLISTED ? randomHashid(random) : hashids.playlist(userId, playlist_id),
        first_id: ids[0] ?? null,
        last_id: ids.at(-1) ?? null,
      })
      .where('playlist_id', '=', playlist_id)
      .execute()
    await db
      .insertInto('imageables')
      .values({
        image_id: coverIds[playlist_id % coverIds.length] as number,
        imageable_type: 'App\\Models\\List\\Playlist',
        imageable_id: playlist_id,
      })
      .execute()
  }
}

/** Adds a demo user's external profiles with their entries, and the notifications of their synchronisation. */
export async function addProfiles(
  db: Transaction<Schema>,
  userId: number,
  { profiles, notifications }: DemoUser,
  { animeIds }: DemoWiki,
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
          // Each anime once: the demo data has as many as the longest profile has entries.
          anime_id: animeIds[index % animeIds.length] as number,
          status: index % 6,
          is_favorite: index % 4 === 0,
          score: 5.5 + (index % 9) / 2,
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
      // A notification of the panel, in the same table: the API does not show it.
      notification('Filament\\Notifications\\DatabaseNotification', 0),
    ])
    .execute()
}

/** Returns a random UUID (RFC 9562 §5.4). */
function uuid(random: (size: number) => Buffer): string {
  const bytes = Buffer.from(random(16))
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
