import { randomUUID } from 'node:crypto'
import { hashidEncoder } from '#src/auth/hashid.ts'
import type { Database } from '#src/database/connect.ts'
import { PANEL_NOTIFICATION } from '#src/input/notification.ts'
import { USER_TYPE } from './app.ts'

const hashids = hashidEncoder('')

export const SYNCED = 'App\\Notifications\\ExternalProfileSyncedNotification'
export { PANEL_NOTIFICATION }

interface NewPlaylist {
  name?: string
  description?: string | null
  visibility?: number
  createdAt?: string
  updatedAt?: string
}

/** Adds a playlist, public unless told otherwise. */
export async function addPlaylist(
  { kysely }: Database,
  userId: number,
  {
    name = 'A playlist',
    description = null,
    visibility = 0,
    createdAt = '2026-02-01 00:00:00',
    updatedAt = createdAt,
  }: NewPlaylist = {},
): Promise<{ id: number; hashid: string }> {
  const { playlist_id: id } = await kysely
    .insertInto('playlists')
    .values({ name, description, visibility, user_id: userId, created_at: createdAt, updated_at: updatedAt })
    .returning('playlist_id')
    .executeTakeFirstOrThrow()
  const hashid = hashids.playlist(userId, id)
  await kysely.updateTable('playlists').set({ hashid }).where('playlist_id', '=', id).execute()
  return { id, hashid }
}

/** Adds tracks to a playlist as one chain, each of the video that stands in its place; null for none. */
export async function addTracks(
  { kysely }: Database,
  playlistId: number,
  videos: readonly (number | null)[],
): Promise<{ id: number; hashid: string }[]> {
  const tracks: { id: number; hashid: string }[] = []
  for (const [index, video] of videos.entries()) {
    for (const [table, key] of [
      ['videos', 'video_id'],
      ['anime_theme_entries', 'entry_id'],
    ] as const) {
      if (video === null) continue
      await kysely
        .insertInto(table)
        .values({ [key]: video } as never)
        .onConflict(conflict => conflict.doNothing())
        .execute()
    }
    const { track_id: id } = await kysely
      .insertInto('playlist_tracks')
      .values({
        playlist_id: playlistId,
        entry_id: video,
        video_id: video,
        position: index + 1,
        previous_id: tracks.at(-1)?.id ?? null,
      })
      .returning('track_id')
      .executeTakeFirstOrThrow()
    const hashid = hashids.track(playlistId, id)
    await kysely.updateTable('playlist_tracks').set({ hashid }).where('track_id', '=', id).execute()
    const previous = tracks.at(-1)
    if (previous) {
      await kysely
        .updateTable('playlist_tracks')
        .set({ next_id: id })
        .where('track_id', '=', previous.id)
        .execute()
    }
    tracks.push({ id, hashid })
  }
  await kysely
    .updateTable('playlists')
    .set({ first_id: tracks[0]?.id ?? null, last_id: tracks.at(-1)?.id ?? null })
    .where('playlist_id', '=', playlistId)
    .execute()
  return tracks
}

/** Adds an external profile and returns its id. */
export async function addProfile(
  { kysely }: Database,
  userId: number | null,
  { name = 'somebody', site = 1, visibility = 0 }: { name?: string; site?: number; visibility?: number } = {},
): Promise<number> {
  const { profile_id } = await kysely
    .insertInto('external_profiles')
    .values({ name, site, visibility, user_id: userId, synced_at: null, external_user_id: null })
    .returning('profile_id')
    .executeTakeFirstOrThrow()
  return profile_id
}

/** Adds a notification and returns its id. */
export async function addNotification(
  { kysely }: Database,
  userId: number,
  {
    type = SYNCED,
    data = '[]',
    readAt = null,
    createdAt = '2026-02-01 00:00:00',
    userType = USER_TYPE,
  }: {
    type?: string
    data?: string
    readAt?: string | null
    createdAt?: string | null
    userType?: string
  } = {},
): Promise<string> {
  const id = randomUUID()
  await kysely
    .insertInto('notifications')
    .values({
      id,
      type,
      notifiable_type: userType,
      notifiable_id: userId,
      data,
      read_at: readAt,
      created_at: createdAt,
      updated_at: createdAt,
    })
    .execute()
  return id
}

/** Adds a theme entry and a video that belong together, and returns their ids as a track's fields. */
export async function addEntryVideo({ kysely }: Database): Promise<{ entry_id: number; video_id: number }> {
  const entry = await kysely
    .insertInto('anime_theme_entries')
    .defaultValues()
    .returning('entry_id')
    .executeTakeFirstOrThrow()
  const video = await kysely
    .insertInto('videos')
    .defaultValues()
    .returning('video_id')
    .executeTakeFirstOrThrow()
  const pair = { ...entry, ...video }
  await kysely.insertInto('anime_theme_entry_video').values(pair).execute()
  return pair
}

/** A playlist's tracks in the order of their links, from the first on; throws when anything about it is not right. */
export async function chainOf({ kysely }: Pick<Database, 'kysely'>, playlistId: number): Promise<string[]> {
  const { first_id, last_id } = await kysely
    .selectFrom('playlists')
    .select(['first_id', 'last_id'])
    .where('playlist_id', '=', playlistId)
    .executeTakeFirstOrThrow()
  const rows = await kysely
    .selectFrom('playlist_tracks')
    .select(['track_id', 'hashid', 'previous_id', 'next_id', 'position'])
    .where('playlist_id', '=', playlistId)
    .execute()
  const byId = new Map(rows.map(row => [row.track_id, row]))
  const chain: string[] = []
  let previous: number | null = null
  let next = first_id
  while (next !== null) {
    const row = byId.get(next)
    if (row === undefined)
      throw new Error(`${next} is none of the playlist's tracks, or is in the chain twice`)
    byId.delete(next)
    if (row.previous_id !== previous)
      throw new Error(`${next} comes after ${previous}, not ${row.previous_id}`)
    chain.push(row.hashid ?? '')
    if (row.position !== chain.length) throw new Error(`${next} is at ${chain.length}, not ${row.position}`)
    previous = next
    next = row.next_id
  }
  if (byId.size > 0) throw new Error(`${[...byId.keys()]} are not in the chain`)
  if (last_id !== previous) throw new Error(`The last is ${previous}, not ${last_id}`)
  return chain
}
