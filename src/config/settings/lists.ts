import { onOrOff, trueOrFalse, urlText, wholeNumber } from '../parsers.ts'
import { setting } from '../setting.ts'

/** Users' lists, and links to the wiki's files. */
export const LISTS = {
  hidePrivate: setting({
    name: 'HIDE_PRIVATE',
    fallback: 'on',
    about:
      "Whether private playlists and external profiles of others, and all below them, are 404 as if they were not there; `off` for AnimeThemes' 403, which tells that they are.",
    parse: onOrOff,
  }),
  playlistsPerUser: setting({
    name: 'USER_MAX_PLAYLISTS',
    fallback: '1000',
    about: 'Playlists that a user can have.',
    parse: wholeNumber(0, 1_000_000),
  }),
  tracksPerPlaylist: setting({
    name: 'PLAYLIST_MAX_TRACKS',
    fallback: '1000',
    about: 'Tracks that a playlist can have.',
    parse: wholeNumber(0, 1_000_000),
  }),
  externalProfilesPerUser: setting({
    name: 'USER_MAX_PROFILES',
    fallback: '5',
    about: 'External profiles that a user can have.',
    parse: wholeNumber(0, 1_000_000),
  }),
  externalProfilesLocalOnly: setting({
    name: 'EXTERNAL_PROFILES_LOCAL_ONLY',
    fallback: 'false',
    about:
      'Whether external profiles are for our own machines alone, those of `LOCAL_IPS`: `true` or `false`. `/me/externalprofile` is for everybody all the same.',
    parse: trueOrFalse,
  }),
  videoUrl: setting<string | null>({
    name: 'VIDEO_URL',
    fallback: null,
    defaultNote: 'no links',
    about: "Where the wiki's videos can be seen, for their links: their names are put behind it.",
    parse: urlText('http:', 'https:'),
  }),
  audioUrl: setting<string | null>({
    name: 'AUDIO_URL',
    fallback: null,
    defaultNote: 'no links',
    about: 'The same for its audio.',
    parse: urlText('http:', 'https:'),
  }),
  imageUrl: setting<string | null>({
    name: 'IMAGE_URL',
    fallback: null,
    defaultNote: 'no links',
    about: 'The same for its images, whose paths are put behind it.',
    parse: urlText('http:', 'https:'),
  }),
  hashidsSalt: setting({
    name: 'HASHIDS_SALT_PLAYLISTS',
    fallback: '',
    about: 'Salt of the ids of new playlists and tracks; the one that Laravel has, to have the same.',
    secret: true,
    parse: text => text,
  }),
}
