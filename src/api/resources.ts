/**
 * Every resource with its relations: the related resource, the columns, and the access that an include requires. They
 * are in one file because they refer to each other.
 */
import { belongsTo, belongsToMany, hasMany, morphMany, resource } from '#src/query/declare.ts'
import type { Resource } from '#src/query/resource.ts'
import { activityShape } from './resources/activity.ts'
import { externalEntryShape } from './resources/externalentry.ts'
import { externalProfileShape } from './resources/externalprofile.ts'
import { notificationShape } from './resources/notification.ts'
import { permissionShape, roleShape } from './resources/permission.ts'
import { playlistShape } from './resources/playlist.ts'
import { publicUserShape } from './resources/public-user.ts'
import { tokenShape } from './resources/token.ts'
import { SEQUENCE_FIELDS, trackShape } from './resources/track.ts'
import { userShape } from './resources/user.ts'
import { animeShape } from './resources/wiki/anime.ts'
import { animeThemeShape } from './resources/wiki/animetheme.ts'
import { animeThemeEntryShape } from './resources/wiki/animethemeentry.ts'
import { artistShape } from './resources/wiki/artist.ts'
import { audioShape } from './resources/wiki/audio.ts'
import { groupShape } from './resources/wiki/group.ts'
import { imageShape } from './resources/wiki/image.ts'
import { artistSong, songShape } from './resources/wiki/song.ts'
import { videoShape } from './resources/wiki/video.ts'

export const activity: Resource<'account_events'> = resource(activityShape)
export const notification: Resource<'notifications'> = resource(notificationShape)
export const permission: Resource<'permissions'> = resource(permissionShape)
export const publicUser: Resource<'users'> = resource(publicUserShape)
export const token: Resource<'personal_access_tokens'> = resource(tokenShape)
export const artist: Resource<'artists'> = resource(artistShape)
export const audio: Resource<'audios'> = resource(audioShape)
export const group: Resource<'groups'> = resource(groupShape)
export const image: Resource<'images'> = resource(imageShape)

export const role: Resource<'roles'> = resource(roleShape, {
  permissions: belongsToMany(() => permission, {
    table: 'role_has_permissions',
    ours: 'role_id',
    theirs: 'permission_id',
    access: 'inherited',
  }),
})

export const user: Resource<'users'> = resource(userShape, {
  activities: hasMany(() => activity, {
    column: 'user_id',
    access: { ability: 'read:me', permission: null },
  }),
  externalprofiles: hasMany(() => externalProfile, {
    column: 'user_id',
    access: { ability: 'read:externalprofile', permission: 'view external profile' },
  }),
  notifications: morphMany(() => notification, {
    id: 'notifiable_id',
    type: 'notifiable_type',
    access: { ability: 'read:notification', permission: 'view notification' },
  }),
  permissions: belongsToMany(() => permission, {
    table: 'model_has_permissions',
    ours: 'model_id',
    theirs: 'permission_id',
    type: 'model_type',
    access: 'inherited',
  }),
  playlists: hasMany(() => playlist, {
    column: 'user_id',
    access: { ability: 'read:playlist', permission: 'view playlist' },
  }),
  roles: belongsToMany(() => role, {
    table: 'model_has_roles',
    ours: 'model_id',
    theirs: 'role_id',
    type: 'model_type',
    access: 'inherited',
  }),
  tokens: morphMany(() => token, {
    id: 'tokenable_id',
    type: 'tokenable_type',
    access: { ability: 'read:token', permission: null },
  }),
})

export const playlist: Resource<'playlists'> = resource(playlistShape, {
  images: belongsToMany(() => image, {
    table: 'imageables',
    ours: 'imageable_id',
    theirs: 'image_id',
    type: 'imageable_type',
    types: ['App\\Models\\List\\Playlist'],
    access: 'inherited',
  }),
  first: belongsTo(() => track, { column: 'first_id', access: 'inherited' }),
  last: belongsTo(() => track, { column: 'last_id', access: 'inherited' }),
  tracks: hasMany(() => track, { column: 'playlist_id', access: 'inherited' }),
  user: belongsTo(() => publicUser, { column: 'user_id', access: 'inherited' }),
})

export const track: Resource<'playlist_tracks'> = resource(trackShape, {
  animethemeentry: belongsTo(() => animeThemeEntry, { column: 'entry_id', access: 'inherited' }),
  playlist: belongsTo(() => playlist, { column: 'playlist_id', access: 'inherited' }),
  next: belongsTo(() => track, { column: 'next_id', access: 'inherited' }),
  previous: belongsTo(() => track, { column: 'previous_id', access: 'inherited' }),
  video: belongsTo(() => video, { column: 'video_id', access: 'inherited' }),
})

/** A track within a sequence. */
export const sequenceTrack: Resource<'playlist_tracks'> = { ...track, fields: SEQUENCE_FIELDS }

export const externalProfile: Resource<'external_profiles'> = resource(externalProfileShape, {
  externalentries: hasMany(() => externalEntry, { column: 'profile_id', access: 'inherited' }),
  user: belongsTo(() => publicUser, { column: 'user_id', access: 'inherited' }),
})

export const externalEntry: Resource<'external_entries'> = resource(externalEntryShape, {
  anime: belongsTo(() => anime, { column: 'anime_id', access: 'inherited' }),
  externalprofile: belongsTo(() => externalProfile, { column: 'profile_id', access: 'inherited' }),
})

/** The `imageable_type` values of anime: an alias, and the class name in older rows. */
const ANIME_TYPES = ['anime', 'App\\Models\\Wiki\\Anime'] as const

export const anime: Resource<'anime'> = resource(animeShape, {
  animethemes: hasMany(() => animeTheme, { column: 'anime_id', access: 'inherited' }),
  images: belongsToMany(() => image, {
    table: 'imageables',
    ours: 'imageable_id',
    theirs: 'image_id',
    type: 'imageable_type',
    types: ANIME_TYPES,
    access: 'inherited',
  }),
})

export const animeTheme: Resource<'anime_themes'> = resource(animeThemeShape, {
  anime: belongsTo(() => anime, { column: 'anime_id', access: 'inherited' }),
  song: belongsTo(() => song, { column: 'song_id', access: 'inherited' }),
  animethemeentries: hasMany(() => animeThemeEntry, { column: 'theme_id', access: 'inherited' }),
  group: belongsTo(() => group, { column: 'group_id', access: 'inherited' }),
})

export const animeThemeEntry: Resource<'anime_theme_entries'> = resource(animeThemeEntryShape, {
  animetheme: belongsTo(() => animeTheme, { column: 'theme_id', access: 'inherited' }),
  videos: belongsToMany(() => video, {
    table: 'anime_theme_entry_video',
    ours: 'entry_id',
    theirs: 'video_id',
    access: 'inherited',
  }),
})

export const song: Resource<'songs'> = resource(songShape, {
  artists: belongsToMany(() => artist, {
    table: 'performances',
    ours: 'song_id',
    theirs: 'artist_id',
    // Performances are soft-deleted, as songs are.
    onlyNull: 'deleted_at',
    shows: artistSong,
    access: 'inherited',
  }),
})

export const video: Resource<'videos'> = resource(videoShape, {
  audio: belongsTo(() => audio, { column: 'audio_id', access: 'inherited' }),
})
