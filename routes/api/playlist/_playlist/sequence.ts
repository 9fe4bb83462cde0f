import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { tracksBackward, tracksForward } from '#src/api/endpoints.ts'
import { playlist as playlistResource } from '#src/api/resources.ts'
import { successResponse } from '#src/api/responses.ts'
import { rowOf } from '#src/http/loaded-row.ts'
import { PlaylistPath, TrackPath } from '#src/input/list-paths.ts'
import { pageHandler } from '#src/lists/handlers.ts'
import { playlistLoaders } from '#src/lists/playlist-access.ts'
import { pageSchema } from '#src/query/openapi.ts'
import { relationAt } from '#src/query/resource.ts'
import { allOf, belongingTo, where } from '#src/query/scope.ts'

const toView = {
  auth: 'optional',
  ability: 'read:playlist',
  permission: 'view playlist track',
} as const

const sequences: FastifyPluginAsyncTypebox = async app => {
  const { config, database } = app
  const { readablePlaylist, readableTrack } = playlistLoaders({ kysely: database.kysely, config })
  const relation = relationAt(playlistResource, ['tracks'])

  for (const { direction, endpoint, beyond, whole, rest } of [
    {
      direction: 'forward',
      endpoint: tracksForward,
      beyond: '>',
      whole: 'from the first to the last',
      rest: 'after a track, nearest first',
    },
    {
      direction: 'backward',
      endpoint: tracksBackward,
      beyond: '<',
      whole: 'from the last to the first',
      rest: 'before a track, nearest first',
    },
  ] as const) {
    const list = pageHandler(app, endpoint)
    const page = { 200: successResponse(pageSchema(endpoint, 'A page of tracks.')) }

    app.get(
      `/${direction}`,
      {
        config: { access: { ...toView, load: readablePlaylist }, endpoint },
        schema: {
          operationId: `playlist.${direction}`,
          tags: ['playlist'],
          summary: `List a playlist's tracks ${whole}`,
          description: 'Returns the tracks in the order of the playlist. They cannot be sorted or filtered.',
          params: PlaylistPath,
          response: page,
        },
      },
      request => {
        const { id } = rowOf(request)
        return list(request, () => belongingTo(relation, id))
      },
    )

    app.get(
      `/track/:track/${direction}`,
      {
        config: { access: { ...toView, load: readableTrack }, endpoint },
        schema: {
          operationId: `playlist.track.${direction}`,
          tags: ['playlist'],
          summary: `List the tracks ${rest}`,
          description: 'Excludes the track itself. The track must belong to the playlist.',
          params: TrackPath,
          response: page,
        },
      },
      request => {
        const { playlist, track } = rowOf(request)
        return list(request, () =>
          allOf(belongingTo(relation, playlist.id), where('position', beyond, track.position)),
        )
      },
    )
  }
}

export default sequences
