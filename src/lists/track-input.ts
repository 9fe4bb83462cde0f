import type { Kysely } from 'kysely'
import type { Schema } from '#src/database/schema.ts'
import type { TrackPlacement } from '#src/database/track-order.ts'
import { findEntryVideo, findTrack, type TrackRow } from '#src/database/tracks.ts'
import { type HttpError, unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const { rules } = MESSAGES

/** The input for a track, before the schema has validated it. */
export interface TrackInput {
  entry_id?: unknown
  video_id?: unknown
  next?: unknown
  previous?: unknown
}

/** Error messages by field. */
export type FieldErrors = Record<string, readonly string[]>

/**
 * Validates a track's entry and video: they must exist and be linked. For an existing track, omitted values stay, and a
 * track without an entry or video accepts any of the other.
 */
export async function findContentErrors(
  kysely: Kysely<Schema>,
  input: TrackInput,
  track: TrackRow | null,
): Promise<FieldErrors> {
  const read = (given: unknown, current: number | null = null) => {
    const value = given === undefined ? current : given
    return { given, id: Number.isSafeInteger(value) ? (value as number) : null, isEmpty: value === null }
  }
  const entry = read(input.entry_id, track?.entryId)
  const video = read(input.video_id, track?.videoId)
  const { hasEntry, hasVideo, isLinked } = await findEntryVideo(kysely, {
    entryId: entry.id,
    videoId: video.id,
  })
  const errorsOf = (one: typeof entry, exists: boolean, other: typeof entry, name: string) => {
    // The schema reports values that are no integers.
    if (!Number.isInteger(one.given)) return []
    const isFree = track !== null && other.isEmpty
    return exists && (isLinked || isFree) ? [] : [rules.selected(name)]
  }
  return {
    entry_id: errorsOf(entry, hasEntry, video, 'entry id'),
    video_id: errorsOf(video, hasVideo, entry, 'video id'),
  }
}

/** Resolves the placement of a track, and validates it: exactly one neighbour of the same playlist. */
export async function resolvePlacement(
  kysely: Kysely<Schema>,
  { next, previous }: TrackInput,
  playlistId: number,
  track: TrackRow | null,
): Promise<{ placement: TrackPlacement | null; errors: FieldErrors }> {
  const find = async (hashid: unknown) => {
    if (typeof hashid !== 'string') return null
    const neighbour = await findTrack(kysely, playlistId, hashid)
    return neighbour === null || neighbour.id === track?.id ? null : neighbour.id
  }
  const before = await find(next)
  const after = await find(previous)
  const isBoth = next !== undefined && next !== null && previous !== undefined && previous !== null
  const errorsOf = (value: unknown, found: number | null, name: string, other: string) => [
    ...(isBoth ? [rules.prohibits(name, other)] : []),
    ...(typeof value === 'string' && found === null ? [rules.selected(name)] : []),
  ]
  return {
    placement: before !== null ? { before } : after !== null ? { after } : null,
    errors: {
      next: errorsOf(next, before, 'next', 'previous'),
      previous: errorsOf(previous, after, 'previous', 'next'),
    },
  }
}

/** Returns the 422 for a neighbour that was deleted meanwhile. */
export const neighbourNotFound = ({ next }: TrackInput): HttpError =>
  unprocessable(
    next === undefined ? { previous: [rules.selected('previous')] } : { next: [rules.selected('next')] },
  )

/** Returns the 422 for an entry and a video that are no longer linked after a concurrent change. */
export const notLinked = ({ entry_id, video_id }: TrackInput): HttpError =>
  unprocessable({
    ...(entry_id !== undefined && { entry_id: [rules.selected('entry id')] }),
    ...(video_id !== undefined && { video_id: [rules.selected('video id')] }),
  })
