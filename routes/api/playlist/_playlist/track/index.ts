import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { forbidden, notFound, unprocessable } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import { tracks as endpoint, oneTrack } from '#src/api/endpoints.ts'
import { playlist as playlistResource } from '#src/api/resources.ts'
import { done, failure, success } from '#src/api/responses.ts'
import { hashidEncoder } from '#src/auth/hashid.ts'
import {
  countTracks,
  deleteTrack,
  findEntryVideo,
  findTrack,
  insertTrack,
  type Place,
  type TrackContent,
  type TrackRow,
  updateTrack,
} from '#src/database/tracks.ts'
import { integerOf } from '#src/input/values.ts'
import { listing, showing } from '#src/lists/listing.ts'
import { playlistAccess } from '#src/lists/playlist-access.ts'
import { judgedLast, listGates, requireValid } from '#src/lists/writes.ts'
import { pageSchema, showSchema } from '#src/query/openapi.ts'
import { relationAt } from '#src/query/resource.ts'
import { belongingTo } from '#src/query/scope.ts'
import { keyedMutex } from '#src/runtime/turns.ts'

const { rules } = MESSAGES

const Id = (description: string, example: number) => Type.Integer({ description, examples: [example] })
const Neighbour = (where: string) =>
  Type.String({
    minLength: 1,
    description: `The id of the track of the same playlist ${where} this one is to stand; not together with the other of the two.`,
    examples: ['vDTL1'],
  })

const EntryId = Id('The theme entry that it shows: one that has the video.', 3814)
const VideoId = Id('The video that it shows: one of the entry.', 2712)
const Next = Type.Optional(Neighbour('before which'))
const Previous = Type.Optional(Neighbour('after which'))

const InPlaylist = Type.Object({
  playlist: Type.String({ description: "The playlist's id, in which case matters.", examples: ['kRfO'] }),
})
const Params = Type.Object({
  ...InPlaylist.properties,
  track: Type.String({ description: "The track's id, in which case matters.", examples: ['vDTL1'] }),
})

const readings = { entry_id: integerOf, video_id: integerOf }

const noPlaylist = { 404: failure('There is no such playlist.', MESSAGES.notFound) }
const noTrack = { 404: failure('There is no such playlist, or it has no such track.', MESSAGES.notFound) }

/** What a track is to be, as far as it was given. It may be of any kind: the schema's verdict comes later. */
interface TrackInput {
  entry_id?: unknown
  video_id?: unknown
  next?: unknown
  previous?: unknown
}

/** How long a change of a playlist's tracks waits for those before it, in milliseconds: programs send many at once. */
const WAIT_MS = 15_000

const tracks: FastifyPluginAsyncTypebox = async app => {
  const { config, clock } = app
  const { kysely } = app.database
  const access = playlistAccess(app)
  const { requireFeature, limitFor } = listGates(app)
  const { track: hashidOf } = hashidEncoder(config.hashidsSalt)
  const inTurn = keyedMutex({ waitMs: WAIT_MS })
  const relation = relationAt(playlistResource, ['tracks'])
  const list = listing(app, endpoint)
  const showRow = showing(app, oneTrack)
  const show = (playlistId: number, id: number, request?: FastifyRequest) =>
    showRow(belongingTo(relation, playlistId), id, request)

  /**
   * What is wrong with a track's entry and video: they must exist, and belong together. Of a track that is there
   * already, what is not given stays, and nothing belongs to what it does not have.
   */
  const contentErrors = async (input: TrackInput, track: TrackRow | null) => {
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
  const readPlace = async ({ next, previous }: TrackInput, playlistId: number, track: TrackRow | null) => {
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
    const place: Place | null = before !== null ? { before } : after !== null ? { after } : null
    return {
      place,
      errors: {
        next: judge(next, before, 'next', 'previous'),
        previous: judge(previous, after, 'previous', 'next'),
      },
    }
  }

  /** The neighbour that a request named, and that somebody has taken away since. */
  const noSuchPlace = ({ next }: TrackInput) =>
    unprocessable(
      next === undefined ? { previous: [rules.selected('previous')] } : { next: [rules.selected('next')] },
    )

  /** What no longer belongs together, since somebody has changed the rest of it. */
  const notLinked = ({ entry_id, video_id }: TrackInput) =>
    unprocessable({
      ...(entry_id !== undefined && { entry_id: [rules.selected('entry id')] }),
      ...(video_id !== undefined && { video_id: [rules.selected('video id')] }),
    })

  app.get(
    '',
    {
      config: {
        access: {
          auth: 'optional',
          ability: 'read:playlist',
          permission: 'view playlist track',
          checked: 'after the row',
        },
        endpoint,
      },
      schema: {
        operationId: 'playlist.track.index',
        tags: ['playlist'],
        summary: "List a playlist's tracks",
        description:
          'In the order in which they were added. `forward` has them in the order of the playlist.',
        params: InPlaylist,
        response: {
          200: success(pageSchema(endpoint, 'A page of tracks.'), { isLimited: true }),
          ...noPlaylist,
        },
      },
    },
    async request => {
      const { id } = await access.playlistToSee(request)
      return list(request, () => belongingTo(relation, id))
    },
  )

  app.post(
    '',
    {
      ...judgedLast(readings),
      config: {
        access: {
          auth: 'required',
          ability: 'write:playlist',
          permission: 'create playlist track',
          checked: 'after the row',
        },
        takesQuery: true,
      },
      schema: {
        operationId: 'playlist.track.store',
        tags: ['playlist'],
        summary: 'Add a track to a playlist',
        description:
          'At its end, or next to another track of it. PLAYLIST_MAX_TRACKS is the most that a playlist can have.',
        params: InPlaylist,
        body: Type.Object({ entry_id: EntryId, video_id: VideoId, next: Next, previous: Previous }),
        response: {
          201: success(showSchema(oneTrack, 'The track.'), { isLimited: true }),
          403: failure(
            "The playlist is somebody else's, or has too many tracks; the caller lacks the permission `create playlist track`, or is banned from using it; or the token lacks the ability `write:playlist`.",
            MESSAGES.tooManyTracks(1000),
          ),
          ...noPlaylist,
        },
      },
    },
    async (request, reply) => {
      const playlist = await access.playlistToChange(request)
      await requireFeature(request, 'playlists')
      const most = limitFor(request, config.tracksPerPlaylist)
      const tooMany = () => forbidden(MESSAGES.tooManyTracks(config.tracksPerPlaylist))
      if (most !== null && (await countTracks(kysely, playlist.id)) >= most) throw tooMany()
      const { place, errors } = await readPlace(request.body, playlist.id, null)
      requireValid(request, { ...(await contentErrors(request.body, null)), ...errors })

      const { entry_id: entryId, video_id: videoId } = request.body
      const id = await inTurn(playlist.id, () =>
        insertTrack(kysely, playlist.id, {
          content: { entryId, videoId },
          place,
          hashid: id => hashidOf(playlist.id, id),
          most,
          now: clock(),
        }),
      )
      if (id === 'too many') throw tooMany()
      if (id === 'no such place') throw noSuchPlace(request.body)
      if (typeof id === 'string') throw notFound()
      return reply.code(201).send(await show(playlist.id, id))
    },
  )

  app.get(
    '/:track',
    {
      config: {
        access: {
          auth: 'optional',
          ability: 'read:playlist',
          permission: 'view playlist track',
          checked: 'after the row',
        },
        endpoint: oneTrack,
      },
      schema: {
        operationId: 'playlist.track.show',
        tags: ['playlist'],
        summary: 'Show a track',
        description: 'What it shows is included: `include=video,animethemeentry`.',
        params: Params,
        response: { 200: success(showSchema(oneTrack, 'The track.'), { isLimited: true }), ...noTrack },
      },
    },
    async request => {
      const { playlist, track } = await access.trackToSee(request)
      return show(playlist.id, track.id, request)
    },
  )

  for (const method of ['PUT', 'PATCH'] as const) {
    app.route({
      method,
      url: '/:track',
      ...judgedLast(readings),
      config: {
        access: {
          auth: 'required',
          ability: 'write:playlist',
          permission: 'update playlist track',
          checked: 'after the row',
        },
        takesQuery: true,
      },
      schema: {
        operationId: `playlist.track.update.${method.toLowerCase()}`,
        tags: ['playlist'],
        summary: 'Change a track',
        description:
          'What it shows, where it stands, or both. What is not given stays as it is, with `PUT` as with `PATCH`.',
        params: Params,
        body: Type.Object({
          entry_id: Type.Optional(EntryId),
          video_id: Type.Optional(VideoId),
          next: Next,
          previous: Previous,
        }),
        response: { 200: success(showSchema(oneTrack, 'The track.'), { isLimited: true }), ...noTrack },
      },
      handler: async request => {
        const { playlist, track } = await access.trackToChange(request)
        await requireFeature(request, 'playlists')
        const { place, errors } = await readPlace(request.body, playlist.id, track)
        requireValid(request, { ...(await contentErrors(request.body, track)), ...errors })

        const { entry_id: entryId, video_id: videoId } = request.body
        const content: Partial<TrackContent> = {
          ...(entryId !== undefined && { entryId }),
          ...(videoId !== undefined && { videoId }),
        }
        if (place !== null || Object.keys(content).length > 0) {
          const outcome = await inTurn(playlist.id, () =>
            updateTrack(kysely, playlist.id, track.id, { content, place, now: clock() }),
          )
          if (outcome === 'no such place') throw noSuchPlace(request.body)
          if (outcome === 'not linked') throw notLinked(request.body)
          if (outcome !== 'updated') throw notFound()
        }
        return show(playlist.id, track.id)
      },
    })
  }

  app.delete(
    '/:track',
    {
      config: {
        access: {
          auth: 'required',
          ability: 'write:playlist',
          permission: 'delete playlist track',
          checked: 'after the row',
        },
      },
      schema: {
        operationId: 'playlist.track.destroy',
        tags: ['playlist'],
        summary: 'Remove a track from a playlist',
        description: 'Those behind it move up.',
        params: Params,
        response: { 200: done(MESSAGES.trackDeleted(345)), ...noTrack },
      },
    },
    async request => {
      const { playlist, track } = await access.trackToChange(request)
      await requireFeature(request, 'playlists')
      const outcome = await inTurn(playlist.id, () => deleteTrack(kysely, playlist.id, track.id, clock()))
      if (outcome !== 'deleted') throw notFound()
      return { message: MESSAGES.trackDeleted(track.id) }
    },
  )
}

export default tracks
