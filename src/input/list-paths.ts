import { Type } from 'typebox'
import { rowIdParameter } from './row-id.ts'

/** The path of a playlist. */
export const PlaylistPath = Type.Object({
  playlist: Type.String({ description: "The playlist's id, in which case matters.", examples: ['kRfO'] }),
})

/** The path of a playlist's track. */
export const TrackPath = Type.Object({
  ...PlaylistPath.properties,
  track: Type.String({ description: "The track's id, in which case matters.", examples: ['vDTL1'] }),
})

/** The path of an external profile. */
export const ProfilePath = Type.Object({
  externalprofile: rowIdParameter("The external profile's id.", '3'),
})

/** The path of an external profile's entry. */
export const EntryPath = Type.Object({
  ...ProfilePath.properties,
  externalentry: rowIdParameter("The entry's id.", '12'),
})
