import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { MESSAGES } from '#src/answers/messages.ts'
import { tracksBackward, tracksForward } from '#src/api/endpoints.ts'
import { playlist as playlistResource } from '#src/api/resources.ts'
import { failure, success } from '#src/api/responses.ts'
import { listing } from '#src/lists/listing.ts'
import { playlistAccess } from '#src/lists/playlist-access.ts'
import { pageSchema } from '#src/query/openapi.ts'
import { relationAt } from '#src/query/resource.ts'
import { allOf, belongingTo, where } from '#src/query/scope.ts'

const InPlaylist = Type.Object({
  playlist: Type.String({ description: "The playlist's id, in which case matters.", examples: ['kRfO'] }),
})
const Params = Type.Object({
  ...InPlaylist.properties,
  track: Type.String({ description: "The track's id, in which case matters.", examples: ['vDTL1'] }),
})

const access = {
  auth: 'optional',
  ability: 'read:playlist',
  permission: 'view playlist track',
  checked: 'after the row',
} as const

const sequences: FastifyPluginAsyncTypebox = async app => {
  const { playlistToSee, trackToSee } = playlistAccess(app)
  const relation = relationAt(playlistResource, ['tracks'])

  for (const { direction, endpoint, beyond, whole, rest } of [
    {
      direction: 'forward',
      endpoint: tracksForward,
      beyond: '>',
      whole: 'from the first to the last',
      rest: 'that come after a track, nearest first',
    },
    {
      direction: 'backward',
      endpoint: tracksBackward,
      beyond: '<',
      whole: 'from the last to the first',
      rest: 'that come before a track, nearest first',
    },
  ] as const) {
    const list = listing(app, endpoint)
    const page = { 200: success(pageSchema(endpoint, 'A page of tracks.'), { isLimited: true }) }

    app.get(
      `/${direction}`,
      {
        config: { access, endpoint },
        schema: {
          operationId: `playlist.${direction}`,
          tags: ['playlist'],
          summary: `List a playlist's tracks ${whole}`,
          description: 'In the order of the playlist, which nothing sorts or filters.',
          params: InPlaylist,
          response: { ...page, 404: failure('There is no such playlist.', MESSAGES.notFound) },
        },
      },
      async request => {
        const { id } = await playlistToSee(request)
        return list(request, () => belongingTo(relation, id))
      },
    )

    app.get(
      `/track/:track/${direction}`,
      {
        config: { access, endpoint },
        schema: {
          operationId: `playlist.track.${direction}`,
          tags: ['playlist'],
          summary: `List the tracks ${rest}`,
          description: 'Without that track itself, which has to be one of the playlist.',
          params: Params,
          response: {
            ...page,
            404: failure('There is no such playlist, or it has no such track.', MESSAGES.notFound),
          },
        },
      },
      async request => {
        const { playlist, track } = await trackToSee(request)
        return list(request, () =>
          allOf(belongingTo(relation, playlist.id), where('position', beyond, track.position)),
        )
      },
    )
  }
}

export default sequences
