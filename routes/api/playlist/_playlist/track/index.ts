import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { tracks as endpoint, oneTrack } from '#src/api/endpoints.ts'
import { playlist as playlistResource } from '#src/api/resources.ts'
import { messageResponse, refusal, successResponse } from '#src/api/responses.ts'
import { rowOf } from '#src/http/loaded-row.ts'
import { UPDATE_METHODS } from '#src/http/update-methods.ts'
import { PlaylistPath, TrackPath } from '#src/input/list-paths.ts'
import { toInteger } from '#src/input/values.ts'
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
    description: `The id of the track of the same playlist ${where} this track is placed. Excludes the other of \`next\` and \`previous\`.`,
    examples: ['vDTL1'],
  })

const EntryId = Id('The id of the theme entry. It must have the video.', 3814)
const VideoId = Id('The id of the video. It must belong to the entry.', 2712)
const Next = Type.Optional(Neighbour('before which'))
const Previous = Type.Optional(Neighbour('after which'))

const readings = { entry_id: toInteger, video_id: toInteger }

const INDEX = {
  operationId: 'playlist.track.index',
  tags: ['playlist'],
  summary: "List a playlist's tracks",
  description:
    'Returns the tracks in order of addition. `forward` returns them in the order of the playlist.',
  params: PlaylistPath,
  response: {
    200: successResponse(pageSchema(endpoint, 'A page of tracks.')),
  },
}

const STORE = {
  operationId: 'playlist.track.store',
  tags: ['playlist'],
  summary: 'Add a track to a playlist',
  description:
    'Adds it at the end, or next to another track. A playlist can have at most PLAYLIST_MAX_TRACKS tracks.',
  params: PlaylistPath,
  body: Type.Object({ entry_id: EntryId, video_id: VideoId, next: Next, previous: Previous }),
  response: {
    201: successResponse(showSchema(oneTrack, 'The track.')),
    403: refusal('The playlist belongs to another user or has too many tracks.'),
  },
}

const SHOW = {
  operationId: 'playlist.track.show',
  tags: ['playlist'],
  summary: 'Show a track',
  description: 'Add `include=video,animethemeentry` to include what it shows.',
  params: TrackPath,
  response: { 200: successResponse(showSchema(oneTrack, 'The track.')) },
}

const UPDATE = {
  tags: ['playlist'],
  summary: 'Change a track',
  description:
    'Changes what it shows, its position, or both. Omitted fields stay unchanged, with `PUT` as with `PATCH`.',
  params: TrackPath,
  body: Type.Object({
    entry_id: Type.Optional(EntryId),
    video_id: Type.Optional(VideoId),
    next: Next,
    previous: Previous,
  }),
  response: { 200: successResponse(showSchema(oneTrack, 'The track.')) },
}

const DESTROY = {
  operationId: 'playlist.track.destroy',
  tags: ['playlist'],
  summary: 'Remove a track from a playlist',
  description: 'The following tracks move up.',
  params: TrackPath,
  response: { 200: messageResponse() },
}

const READS = { auth: 'optional', ability: 'read:playlist' } as const
const WRITES = { auth: 'required', ability: 'write:playlist', feature: 'playlists' } as const

const trackRoutes: FastifyPluginAsyncTypebox = async app => {
  const { config, clock } = app
  const { kysely } = app.database
  const { readablePlaylist, writablePlaylist, readableTrack, writableTrack } = playlistLoaders({
    kysely,
    config,
  })
  const tracks = createTracks({ kysely, config, clock })
  const relation = relationAt(playlistResource, ['tracks'])
  const list = pageHandler(app, endpoint)
  const showRow = rowHandler(app, oneTrack)
  const show = (playlistId: number, id: number, request?: FastifyRequest) =>
    showRow(belongingTo(relation, playlistId), id, request)

  app.get(
    '',
    {
      config: { access: { ...READS, permission: 'view playlist track', load: readablePlaylist }, endpoint },
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
          load: writablePlaylist,
          quota: tracks.quota,
        },
        takesQuery: true,
      },
      schema: STORE,
    },
    async (request, reply) => {
      const playlist = rowOf(request)
      const { placement, errors } = await tracks.validate(request.body, playlist, null)
      requireValid(request, errors)
      const id = await tracks.add(request.caller(), playlist, request.body, placement)
      return reply.code(201).send(await show(playlist.id, id))
    },
  )

  app.get(
    '/:track',
    {
      config: {
        access: { ...READS, permission: 'view playlist track', load: readableTrack },
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
        access: { ...WRITES, permission: 'update playlist track', load: writableTrack },
        takesQuery: true,
      },
      schema: { ...UPDATE, operationId: `playlist.track.update.${method.toLowerCase()}` },
      handler: async request => {
        const placed = rowOf(request)
        const { playlist, track } = placed
        const { placement, errors } = await tracks.validate(request.body, playlist, track)
        requireValid(request, errors)
        await tracks.change(placed, request.body, placement)
        return show(playlist.id, track.id)
      },
    })
  }

  app.delete(
    '/:track',
    {
      config: { access: { ...WRITES, permission: 'delete playlist track', load: writableTrack } },
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
