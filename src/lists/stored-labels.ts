import { EXTERNAL_PROFILE_SITE, EXTERNAL_PROFILE_VISIBILITY } from '#src/api/resources/externalprofile.ts'
import { PLAYLIST_VISIBILITY } from '#src/api/resources/playlist.ts'

/** Makes the function that converts an enum's labels to stored numbers. */
const numberIn =
  <Label extends string>(labels: readonly Label[]) =>
  (label: Label): number =>
    labels.indexOf(label)

/** Returns the stored number of a playlist's visibility. */
export const playlistVisibility = numberIn(PLAYLIST_VISIBILITY)

/** Returns the stored number of an external profile's visibility. */
export const profileVisibility = numberIn(EXTERNAL_PROFILE_VISIBILITY)

/** Returns the stored number of an external profile's site. */
export const profileSite = numberIn(EXTERNAL_PROFILE_SITE)
