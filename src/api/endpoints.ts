import type { Endpoint } from './query/resource.ts'
import { activity } from './resources/activity.ts'
import { externalProfile } from './resources/externalprofile.ts'
import { notification } from './resources/notification.ts'
import { playlist } from './resources/playlist.ts'
import { token } from './resources/token.ts'
import { user } from './resources/user.ts'

/** GET /me */
export const me: Endpoint = {
  resource: user,
  kind: 'show',
  includes: ['externalprofiles', 'notifications', 'permissions', 'playlists', 'roles.permissions'],
  search: 'prohibited',
}

/** GET /me/playlist */
export const myPlaylists: Endpoint = {
  resource: playlist,
  kind: 'index',
  includes: ['first', 'last', 'tracks.next', 'tracks.previous', 'user'],
  search: 'ignored',
  order: [{ field: 'created_at', descending: true }],
}

/** GET /me/externalprofile */
export const myExternalProfiles: Endpoint = {
  resource: externalProfile,
  kind: 'index',
  includes: ['externalentries', 'user'],
  search: 'ignored',
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
