import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { tracks as endpoint, oneTrack } from '#src/api/endpoints.ts'
import { playlist as playlistResource } from '#src/api/resources.ts'
import { done, failure, missing, success } from '#src/api/responses.ts'
import { rowOf } from '#src/http/loaded-row.ts'
import { UPDATE_METHODS } from '#src/http/update-methods.ts'
import { PlaylistPath, TrackPath } from '#src/input/list-paths.ts'
import { integerOf } from '#src/input/values.ts'
import { deferValidation, requireValid } from '#src/lists/deferred-validation.ts'
import { pageHandler, rowHandler } from '#src/lists/handlers.ts'
import { playlistLoaders } from '#src/lists/playlist-access.ts'
import { createTracks } from '#src/lists/tracks.ts'
import { pageSchema, showSchema } from '#src/query/openapi.ts'
import { relationAt } from '#src/query/resource.ts'
import { belongingTo } from '#src/query/scope.ts'
import { MESSAGES } from '#src/responses/messages.ts'

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

const readings = { entry_id: integerOf, video_id: integerOf }

const noPlaylist = { 404: missing('There is no such playlist.') }
const noTrack = { 404: missing('There is no such playlist, or it has no such track.') }

const INDEX = {
  operationId: 'playlist.track.index',
  tags: ['playlist'],
  summary: "List a playlist's tracks",
  description: 'In the order in which they were added. `forward` has them in the order of the playlist.',
  params: PlaylistPath,
  response: {
    200: success(pageSchema(endpoint, 'A page of tracks.')),
    ...noPlaylist,
  },
}

const STORE = {
  operationId: 'playlist.track.store',
  tags: ['playlist'],
  summary: 'Add a track to a playlist',
  description:
    'At its end, or next to another track of it. PLAYLIST_MAX_TRACKS is the most that a playlist can have.',
  params: PlaylistPath,
  body: Type.Object({ entry_id: EntryId, video_id: VideoId, next: Next, previous: Previous }),
  response: {
    201: success(showSchema(oneTrack, 'The track.')),
    403: failure(
      "The playlist is somebody else's, or has too many tracks; the caller lacks the permission `create playlist track`, or is banned from using it; or the token lacks the ability `write:playlist`.",
      MESSAGES.tooManyTracks(1000),
    ),
    ...noPlaylist,
  },
}

const SHOW = {
  operationId: 'playlist.track.show',
  tags: ['playlist'],
  summary: 'Show a track',
  description: 'What it shows is included: `include=video,animethemeentry`.',
  params: TrackPath,
  response: { 200: success(showSchema(oneTrack, 'The track.')), ...noTrack },
}

const UPDATE = {
  tags: ['playlist'],
  summary: 'Change a track',
  description:
    'What it shows, where it stands, or both. What is not given stays as it is, with `PUT` as with `PATCH`.',
  params: TrackPath,
  body: Type.Object({
    entry_id: Type.Optional(EntryId),
    video_id: Type.Optional(VideoId),
    next: Next,
    previous: Previous,
  }),
  response: { 200: success(showSchema(oneTrack, 'The track.')), ...noTrack },
}

const DESTROY = {
  operationId: 'playlist.track.destroy',
  tags: ['playlist'],
  summary: 'Remove a track from a playlist',
  description: 'Those behind it move up.',
  params: TrackPath,
  response: { 200: done(MESSAGES.trackDeleted(345)), ...noTrack },
}

const READS = { auth: 'optional', ability: 'read:playlist' } as const
const WRITES = { auth: 'required', ability: 'write:playlist', feature: 'playlists' } as const

const trackRoutes: FastifyPluginAsyncTypebox = async app => {
  const { config, clock } = app
  const { kysely } = app.database
  const { playlistToSee, playlistToChange, trackToSee, trackToChange } = playlistLoaders({ kysely, config })
  const tracks = createTracks({ kysely, config, clock })
  const relation = relationAt(playlistResource, ['tracks'])
  const list = pageHandler(app, endpoint)
  const showRow = rowHandler(app, oneTrack)
  const show = (playlistId: number, id: number, request?: FastifyRequest) =>
    showRow(belongingTo(relation, playlistId), id, request)

  app.get(
    '',
    {
      config: { access: { ...READS, permission: 'view playlist track', load: playlistToSee }, endpoint },
      schema: INDEX,
    },
    request => {
      const { id } = rowOf(request)
      return list(request, () => belongingTo(relation, id))
    },
  )

  app.post(
    '',
    {
      ...deferValidation(readings),
      config: {
        access: {
          ...WRITES,
          permission: 'create playlist track',
          load: playlistToChange,
          quota: tracks.quota,
        },
        takesQuery: true,
      },
      schema: STORE,
    },
    async (request, reply) => {
      const playlist = rowOf(request)
      const { place, faults } = await tracks.judge(request.body, playlist, null)
      requireValid(request, faults)
      const id = await tracks.add(request.caller(), playlist, request.body, place)
      return reply.code(201).send(await show(playlist.id, id))
    },
  )

  app.get(
    '/:track',
    {
      config: {
        access: { ...READS, permission: 'view playlist track', load: trackToSee },
        endpoint: oneTrack,
      },
      schema: SHOW,
    },
    request => {
      const { playlist, track } = rowOf(request)
      return show(playlist.id, track.id, request)
    },
  )

  for (const method of UPDATE_METHODS) {
    app.route({
      method,
      url: '/:track',
      ...deferValidation(readings),
      config: {
        access: { ...WRITES, permission: 'update playlist track', load: trackToChange },
        takesQuery: true,
      },
      schema: { ...UPDATE, operationId: `playlist.track.update.${method.toLowerCase()}` },
      handler: async request => {
        const placed = rowOf(request)
        const { playlist, track } = placed
        const { place, faults } = await tracks.judge(request.body, playlist, track)
        requireValid(request, faults)
        await tracks.change(placed, request.body, place)
        return show(playlist.id, track.id)
      },
    })
  }

  app.delete(
    '/:track',
    {
      config: { access: { ...WRITES, permission: 'delete playlist track', load: trackToChange } },
      schema: DESTROY,
    },
    async request => {
      const placed = rowOf(request)
      await tracks.remove(placed)
      return { message: MESSAGES.trackDeleted(placed.track.id) }
    },
  )
}

export default trackRoutes
