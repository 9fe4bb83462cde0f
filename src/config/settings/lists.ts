import { onOrOff, trueOrFalse, urlText, wholeNumber } from '../parsers.ts'
import { setting } from '../setting.ts'

/** Lists of users, and links to the wiki's files. */
export const LISTS = {
  hidePrivate: setting({
    name: 'HIDE_PRIVATE',
    fallback: 'on',
    about:
      '`on`: private playlists and external profiles of other users, and everything below them, respond with 404, as if they did not exist. `off`: they respond with 403, as in AnimeThemes, which reveals that they exist.',
    parse: onOrOff,
  }),
  playlistsPerUser: setting({
    name: 'USER_MAX_PLAYLISTS',
    fallback: '1000',
    about: 'Maximum number of playlists of a user.',
    parse: wholeNumber(0, 1_000_000),
  }),
  tracksPerPlaylist: setting({
    name: 'PLAYLIST_MAX_TRACKS',
    fallback: '1000',
    about: 'Maximum number of tracks of a playlist.',
    parse: wholeNumber(0, 1_000_000),
  }),
  externalProfilesPerUser: setting({
    name: 'USER_MAX_PROFILES',
    fallback: '5',
    about: 'Maximum number of external profiles of a user.',
    parse: wholeNumber(0, 1_000_000),
  }),
  externalProfilesLocalOnly: setting({
    name: 'EXTERNAL_PROFILES_LOCAL_ONLY',
    fallback: 'false',
    about:
      '`true`: only the addresses of `LOCAL_IPS` can use external profiles. `false`: all clients can. `/me/externalprofile` is always open to all.',
    parse: trueOrFalse,
  }),
  videoUrl: setting<string | null>({
    name: 'VIDEO_URL',
    fallback: null,
    defaultNote: 'no links',
    about: "Base URL of the wiki's videos. Links append the file name.",
    parse: urlText('http:', 'https:'),
  }),
  audioUrl: setting<string | null>({
    name: 'AUDIO_URL',
    fallback: null,
    defaultNote: 'no links',
    about: "Base URL of the wiki's audio. Links append the file name.",
    parse: urlText('http:', 'https:'),
  }),
  imageUrl: setting<string | null>({
    name: 'IMAGE_URL',
    fallback: null,
    defaultNote: 'no links',
    about: "Base URL of the wiki's images. Links append the path.",
    parse: urlText('http:', 'https:'),
  }),
  hashidsSalt: setting({
    name: 'HASHIDS_SALT_PLAYLISTS',
    fallback: '',
    about: "Salt of the ids of new playlists and tracks. Use Laravel's salt to get the same ids.",
    secret: true,
    parse: text => text,
  }),
}
