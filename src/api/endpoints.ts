import type { Endpoint } from '#src/query/resource.ts'
import {
  activity,
  externalEntry,
  externalProfile,
  notification,
  playlist,
  sequenceTrack,
  token,
  track,
  user,
} from './resources.ts'

/** GET /me */
export const me: Endpoint<'users'> = {
  resource: user,
  kind: 'show',
  includes: ['externalprofiles', 'notifications', 'permissions', 'playlists', 'roles.permissions'],
  search: 'prohibited',
}

/** The includes of a track's content. */
const CONTENT_INCLUDES = [
  'animethemeentry.animetheme.anime.images',
  'animethemeentry.animetheme.group',
  'animethemeentry.animetheme.song.artists',
  'video.audio',
]
const PLAYLIST_INCLUDES = [
  ...['images', 'first', 'last', 'user', 'tracks.next', 'tracks.previous'],
  ...CONTENT_INCLUDES.map(path => `tracks.${path}`),
]
const TRACK_INCLUDES = ['playlist', 'next', 'previous', ...CONTENT_INCLUDES]
const PROFILE_INCLUDES = [
  'externalentries.anime.animethemes.animethemeentries.videos',
  'externalentries.anime.animethemes.group',
  'externalentries.anime.animethemes.song',
  'externalentries.anime.images',
  'user',
]
const ENTRY_INCLUDES = ['anime', 'externalprofile.user']

/** GET /me/playlist */
export const myPlaylists: Endpoint<'playlists'> = {
  resource: playlist,
  kind: 'index',
  includes: PLAYLIST_INCLUDES,
  search: 'ignored',
  order: [{ column: 'created_at', descending: true }],
}

/** GET /playlist */
export const playlists: Endpoint<'playlists'> = {
  resource: playlist,
  kind: 'index',
  includes: PLAYLIST_INCLUDES,
  search: 'names',
  listsAllUsers: true,
}

/** GET /playlist/{playlist}, and other responses with one playlist */
export const onePlaylist: Endpoint<'playlists'> = {
  resource: playlist,
  kind: 'show',
  includes: PLAYLIST_INCLUDES,
  search: 'prohibited',
}

/** GET /playlist/{playlist}/track */
export const tracks: Endpoint<'playlist_tracks'> = {
  resource: track,
  kind: 'index',
  includes: TRACK_INCLUDES,
  search: 'prohibited',
}

/** GET /playlist/{playlist}/track/{track}, and other responses with one track */
export const oneTrack: Endpoint<'playlist_tracks'> = {
  resource: track,
  kind: 'show',
  includes: TRACK_INCLUDES,
  search: 'prohibited',
}

/** GET /playlist/{playlist}/forward, and the same of a track */
export const tracksForward: Endpoint<'playlist_tracks'> = {
  resource: sequenceTrack,
  kind: 'index',
  includes: CONTENT_INCLUDES,
  search: 'prohibited',
  isSequence: true,
  order: [{ column: 'position', descending: false }],
}

/** GET /playlist/{playlist}/backward, and the same of a track */
export const tracksBackward: Endpoint<'playlist_tracks'> = {
  ...tracksForward,
  order: [{ column: 'position', descending: true }],
}

/** GET /me/externalprofile */
export const myExternalProfiles: Endpoint<'external_profiles'> = {
  resource: externalProfile,
  kind: 'index',
  includes: PROFILE_INCLUDES,
  search: 'ignored',
}

/** GET /externalprofile */
export const externalProfiles: Endpoint<'external_profiles'> = {
  resource: externalProfile,
  kind: 'index',
  includes: PROFILE_INCLUDES,
  search: 'names',
  listsAllUsers: true,
}

/** GET /externalprofile/{externalprofile}, and other responses with one profile */
export const oneExternalProfile: Endpoint<'external_profiles'> = {
  resource: externalProfile,
  kind: 'show',
  includes: PROFILE_INCLUDES,
  search: 'prohibited',
}

/** GET /externalprofile/{externalprofile}/externalentry */
export const externalEntries: Endpoint<'external_entries'> = {
  resource: externalEntry,
  kind: 'index',
  includes: ENTRY_INCLUDES,
  search: 'prohibited',
}

/** GET /externalprofile/{externalprofile}/externalentry/{externalentry} */
export const oneExternalEntry: Endpoint<'external_entries'> = {
  resource: externalEntry,
  kind: 'show',
  includes: ENTRY_INCLUDES,
  search: 'prohibited',
}

/** GET /me/notification */
export const myNotifications: Endpoint<'notifications'> = {
  resource: notification,
  kind: 'index',
  includes: [],
  search: 'prohibited',
  order: [{ column: 'created_at', descending: true }],
}

/** GET /me/token */
export const myTokens: Endpoint<'personal_access_tokens'> = {
  resource: token,
  kind: 'index',
  includes: [],
  search: 'ignored',
}

/** GET /me/token/{token}, and other responses with one token */
export const myToken: Endpoint<'personal_access_tokens'> = {
  resource: token,
  kind: 'show',
  includes: [],
  search: 'prohibited',
}

/** GET /me/activity */
export const myActivities: Endpoint<'account_events'> = {
  resource: activity,
  kind: 'index',
  includes: [],
  search: 'ignored',
  order: [{ column: 'created_at', descending: true }],
}
