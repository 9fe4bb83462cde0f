import type { Kysely } from 'kysely'
import type { Schema } from '#src/database/schema.ts'
import type { Place } from '#src/database/track-order.ts'
import { findEntryVideo, findTrack, type TrackRow } from '#src/database/tracks.ts'
import { type HttpError, unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const { rules } = MESSAGES

/** What a track is to be, as far as it was given. It may be of any kind: the schema's verdict comes later. */
export interface TrackInput {
  entry_id?: unknown
  video_id?: unknown
  next?: unknown
  previous?: unknown
}

/** Sentences by field. */
export type Faults = Record<string, readonly string[]>

/**
 * What is wrong with a track's entry and video: they must exist, and belong together. Of a track that is there already,
 * what is not given stays, and nothing belongs to what it does not have.
 */
export async function contentFaults(
  kysely: Kysely<Schema>,
  input: TrackInput,
  track: TrackRow | null,
): Promise<Faults> {
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
  const judge = (one: typeof entry, exists: boolean, other: typeof entry, name: string) => {
    // Of what is no number, the schema says so.
    if (!Number.isInteger(one.given)) return []
    const isFree = track !== null && other.isEmpty
    return exists && (isLinked || isFree) ? [] : [rules.selected(name)]
  }
  return {
    entry_id: judge(entry, hasEntry, video, 'entry id'),
    video_id: judge(video, hasVideo, entry, 'video id'),
  }
}

/** Where a track is to stand, and what is wrong with that: the playlist must have that neighbour, and it one only. */
export async function readPlace(
  kysely: Kysely<Schema>,
  { next, previous }: TrackInput,
  playlistId: number,
  track: TrackRow | null,
): Promise<{ place: Place | null; faults: Faults }> {
  const find = async (hashid: unknown) => {
    if (typeof hashid !== 'string') return null
    const neighbour = await findTrack(kysely, playlistId, hashid)
    return neighbour === null || neighbour.id === track?.id ? null : neighbour.id
  }
  const before = await find(next)
  const after = await find(previous)
  const isBoth = next !== undefined && next !== null && previous !== undefined && previous !== null
  const judge = (value: unknown, found: number | null, name: string, other: string) => [
    ...(isBoth ? [rules.prohibits(name, other)] : []),
    ...(typeof value === 'string' && found === null ? [rules.selected(name)] : []),
  ]
  return {
    place: before !== null ? { before } : after !== null ? { after } : null,
    faults: {
      next: judge(next, before, 'next', 'previous'),
      previous: judge(previous, after, 'previous', 'next'),
    },
  }
}

/** 422 for the neighbour that a request named, and that somebody has deleted since. */
export const noSuchPlace = ({ next }: TrackInput): HttpError =>
  unprocessable(
    next === undefined ? { previous: [rules.selected('previous')] } : { next: [rules.selected('next')] },
  )

/** 422 for what no longer belongs together, since somebody has changed the rest of it. */
export const notLinked = ({ entry_id, video_id }: TrackInput): HttpError =>
  unprocessable({
    ...(entry_id !== undefined && { entry_id: [rules.selected('entry id')] }),
    ...(video_id !== undefined && { video_id: [rules.selected('video id')] }),
  })
