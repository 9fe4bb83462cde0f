import type { Endpoint } from '#src/query/resource.ts'
import { activity } from './resources/activity.ts'
import { externalEntry } from './resources/externalentry.ts'
import { externalProfile } from './resources/externalprofile.ts'
import { notification } from './resources/notification.ts'
import { playlist } from './resources/playlist.ts'
import { token } from './resources/token.ts'
import { sequenceTrack, track } from './resources/track.ts'
import { user } from './resources/user.ts'

/** GET /me */
export const me: Endpoint = {
  resource: user,
  kind: 'show',
  includes: ['externalprofiles', 'notifications', 'permissions', 'playlists', 'roles.permissions'],
  search: 'prohibited',
}

/** What a track shows, as far as the wiki knows it. */
const SHOWN = [
  'animethemeentry.animetheme.anime.images',
  'animethemeentry.animetheme.group',
  'animethemeentry.animetheme.song.artists',
  'video.audio',
]
const PLAYLIST_INCLUDES = [
  ...['images', 'first', 'last', 'user', 'tracks.next', 'tracks.previous'],
  ...SHOWN.map(path => `tracks.${path}`),
]
const TRACK_INCLUDES = ['playlist', 'next', 'previous', ...SHOWN]
const PROFILE_INCLUDES = [
  'externalentries.anime.animethemes.animethemeentries.videos',
  'externalentries.anime.animethemes.group',
  'externalentries.anime.animethemes.song',
  'externalentries.anime.images',
  'user',
]
const ENTRY_INCLUDES = ['anime', 'externalprofile.user']

/** GET /me/playlist */
export const myPlaylists: Endpoint = {
  resource: playlist,
  kind: 'index',
  includes: PLAYLIST_INCLUDES,
  search: 'ignored',
  order: [{ field: 'created_at', descending: true }],
}

/** GET /playlist */
export const playlists: Endpoint = {
  resource: playlist,
  kind: 'index',
  includes: PLAYLIST_INCLUDES,
  search: 'names',
  isForAll: true,
}

/** GET /playlist/{playlist}, and whatever else answers with one */
export const onePlaylist: Endpoint = {
  resource: playlist,
  kind: 'show',
  includes: PLAYLIST_INCLUDES,
  search: 'prohibited',
}

/** GET /playlist/{playlist}/track */
export const tracks: Endpoint = {
  resource: track,
  kind: 'index',
  includes: TRACK_INCLUDES,
  search: 'prohibited',
}

/** GET /playlist/{playlist}/track/{track}, and whatever else answers with one */
export const oneTrack: Endpoint = {
  resource: track,
  kind: 'show',
  includes: TRACK_INCLUDES,
  search: 'prohibited',
}

/** GET /playlist/{playlist}/forward, and the same of a track */
export const tracksForward: Endpoint = {
  resource: sequenceTrack,
  kind: 'index',
  includes: SHOWN,
  search: 'prohibited',
  isSequence: true,
  order: [{ field: 'position', descending: false }],
}

/** GET /playlist/{playlist}/backward, and the same of a track */
export const tracksBackward: Endpoint = {
  ...tracksForward,
  order: [{ field: 'position', descending: true }],
}

/** GET /me/externalprofile */
export const myExternalProfiles: Endpoint = {
  resource: externalProfile,
  kind: 'index',
  includes: PROFILE_INCLUDES,
  search: 'ignored',
}

/** GET /externalprofile */
export const externalProfiles: Endpoint = {
  resource: externalProfile,
  kind: 'index',
  includes: PROFILE_INCLUDES,
  search: 'names',
  isForAll: true,
}

/** GET /externalprofile/{externalprofile}, and whatever else answers with one */
export const oneExternalProfile: Endpoint = {
  resource: externalProfile,
  kind: 'show',
  includes: PROFILE_INCLUDES,
  search: 'prohibited',
}

/** GET /externalprofile/{externalprofile}/externalentry */
export const externalEntries: Endpoint = {
  resource: externalEntry,
  kind: 'index',
  includes: ENTRY_INCLUDES,
  search: 'prohibited',
}

/** GET /externalprofile/{externalprofile}/externalentry/{externalentry} */
export const oneExternalEntry: Endpoint = {
  resource: externalEntry,
  kind: 'show',
  includes: ENTRY_INCLUDES,
  search: 'prohibited',
}

/** GET /me/notification */
export const myNotifications: Endpoint = {
  resource: notification,
  kind: 'index',
  includes: [],
  search: 'prohibited',
  order: [{ field: 'created_at', descending: true }],
}

/** GET /me/token */
export const myTokens: Endpoint = {
  resource: token,
  kind: 'index',
  includes: [],
  search: 'ignored',
}

/** GET /me/token/{token}, and whatever else answers with one */
export const myToken: Endpoint = {
  resource: token,
  kind: 'show',
  includes: [],
  search: 'prohibited',
}

/** GET /me/activity */
export const myActivities: Endpoint = {
  resource: activity,
  kind: 'index',
  includes: [],
  search: 'ignored',
  order: [{ field: 'created_at', descending: true }],
}
