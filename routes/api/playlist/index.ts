import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { forbidden, notFound, unauthenticated } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import { playlists as endpoint, onePlaylist } from '#src/api/endpoints.ts'
import { PLAYLIST_VISIBILITY } from '#src/api/resources/playlist.ts'
import { done, failure, success } from '#src/api/responses.ts'
import { hashidEncoder, randomHashid } from '#src/auth/hashid.ts'
import type { Identity } from '#src/auth/identity.ts'
import {
  countPlaylists,
  deletePlaylist,
  type Hashid,
  insertPlaylist,
  updatePlaylist,
} from '#src/database/playlists.ts'
import { Label, labelOf, Text, titleOf } from '#src/input/list.ts'
import { booleanOf } from '#src/input/values.ts'
import { listing, showing } from '#src/lists/listing.ts'
import { playlistAccess } from '#src/lists/playlist-access.ts'
import { judgedLast, listGates, requireValid } from '#src/lists/writes.ts'
import { pageSchema, showSchema } from '#src/query/openapi.ts'
import { where } from '#src/query/scope.ts'

const Name = Text(192, 'The name.', 'Best OPs')
const Description = Type.Union([Text(1000, 'What it is about.', 'One a week, as they aired.'), Type.Null()])
const Visibility = Label(
  PLAYLIST_VISIBILITY,
  'Who can find it: everybody, its owner, or whoever knows the id. Of a playlist that becomes unlisted the id can be guessed, unless `regenerate_id` is true as well. Case does not matter, and 0, 1, 2 mean the same.',
  'Public',
)
const RegenerateId = Type.Union([Type.Boolean(), Type.Null()], {
  description:
    'Whether the id is made anew: a random one if the playlist is unlisted then, under which alone it is found from now on; else the one that follows from its numbers, which it mostly has already.',
  examples: [false],
})

const Params = Type.Object({
  playlist: Type.String({ description: "The playlist's id, in which case matters.", examples: ['kRfO'] }),
})

const visibilityOf = (label: (typeof PLAYLIST_VISIBILITY)[number]) => PLAYLIST_VISIBILITY.indexOf(label)
const UNLISTED = visibilityOf('Unlisted')
const PUBLIC = visibilityOf('Public')

const readings = {
  name: titleOf,
  visibility: labelOf(PLAYLIST_VISIBILITY),
  regenerate_id: booleanOf,
}

const unknown = {
  404: failure('There is no such playlist, or it is private to somebody else.', MESSAGES.notFound),
}

const playlists: FastifyPluginAsyncTypebox = async app => {
  const { config, clock, random } = app
  const { kysely } = app.database
  const access = playlistAccess(app)
  const { requireFeature, limitFor } = listGates(app)
  const hashids = hashidEncoder(config.hashidsSalt)
  /** Ids that follow from numbers can be guessed, and the id is all that protects an unlisted playlist. */
  const hashidOf = (userId: number, id: number, visibility: number): Hashid => {
    const spare = randomHashid(random)
    return { spare, wanted: visibility === UNLISTED ? spare : hashids.playlist(userId, id) }
  }
  const list = listing(app, endpoint)
  const showRow = showing(app, onePlaylist)
  const show = (id: number, request?: FastifyRequest) => showRow(where('playlist_id', '=', id), id, request)

  app.get(
    '',
    {
      config: {
        access: { auth: 'optional', ability: 'read:playlist', permission: 'view playlist' },
        endpoint,
      },
      schema: {
        operationId: 'playlist.index',
        tags: ['playlist'],
        summary: 'List public playlists',
        description:
          'Those of everybody, oldest first. With `q` those whose name has the words, best matches first.',
        response: { 200: success(pageSchema(endpoint, 'A page of playlists.'), { isLimited: true }) },
      },
    },
    request => list(request, () => where('visibility', '=', PUBLIC)),
  )

  app.post(
    '',
    {
      ...judgedLast(readings),
      config: {
        access: { auth: 'required', ability: 'write:playlist', permission: 'create playlist' },
        takesQuery: true,
      },
      schema: {
        operationId: 'playlist.store',
        tags: ['playlist'],
        summary: 'Create a playlist',
        description: `It belongs to whoever creates it, and has no tracks yet. The id of an unlisted one is random. USER_MAX_PLAYLISTS is the most that a user can have.`,
        body: Type.Object({
          name: Name,
          description: Type.Optional(Description),
          visibility: Visibility,
        }),
        response: {
          201: success(showSchema(onePlaylist, 'The playlist.'), { isLimited: true }),
          403: failure(
            'The caller lacks the permission `create playlist`, is banned from using it, or has too many; or the token lacks the ability `write:playlist`.',
            MESSAGES.tooManyPlaylists(1000),
          ),
        },
      },
    },
    async (request, reply) => {
      const { id: userId } = (request.identity as Identity).user
      await requireFeature(request, 'playlists')
      const most = limitFor(request, config.playlistsPerUser)
      const tooMany = () => forbidden(MESSAGES.tooManyPlaylists(config.playlistsPerUser))
      if (most !== null && (await countPlaylists(kysely, userId)) >= most) throw tooMany()
      requireValid(request)
      const { name, description = null, visibility } = request.body
      const id = await insertPlaylist(
        kysely,
        {
          userId,
          name,
          description,
          visibility: visibilityOf(visibility),
          hashid: id => hashidOf(userId, id, visibilityOf(visibility)),
          now: clock(),
        },
        most,
      )
      if (id === 'too many') throw tooMany()
      if (id === 'no such user') throw unauthenticated()
      return reply.code(201).send(await show(id))
    },
  )

  app.get(
    '/:playlist',
    {
      config: {
        access: {
          auth: 'optional',
          ability: 'read:playlist',
          permission: 'view playlist',
          checked: 'after the row',
        },
        endpoint: onePlaylist,
      },
      schema: {
        operationId: 'playlist.show',
        tags: ['playlist'],
        summary: 'Show a playlist',
        description: 'A public one, an unlisted one, or a private one of the caller.',
        params: Params,
        response: { 200: success(showSchema(onePlaylist, 'The playlist.'), { isLimited: true }), ...unknown },
      },
    },
    async request => {
      const { id } = await access.playlistToSee(request)
      return show(id, request)
    },
  )

  for (const method of ['PUT', 'PATCH'] as const) {
    app.route({
      method,
      url: '/:playlist',
      ...judgedLast(readings),
      config: {
        access: {
          auth: 'required',
          ability: 'write:playlist',
          permission: 'update playlist',
          checked: 'after the row',
        },
        takesQuery: true,
      },
      schema: {
        operationId: `playlist.update.${method.toLowerCase()}`,
        tags: ['playlist'],
        summary: 'Change a playlist',
        description:
          'What is not given stays as it is, with `PUT` as with `PATCH`. The id stays, whoever can see the playlist then, unless `regenerate_id` is true.',
        params: Params,
        body: Type.Object({
          name: Type.Optional(Name),
          description: Type.Optional(Description),
          visibility: Type.Optional(Visibility),
          regenerate_id: Type.Optional(RegenerateId),
        }),
        response: { 200: success(showSchema(onePlaylist, 'The playlist.'), { isLimited: true }), ...unknown },
      },
      handler: async request => {
        const playlist = await access.playlistToChange(request)
        const { id, userId } = playlist
        await requireFeature(request, 'playlists')
        requireValid(request)
        const { name, description, visibility, regenerate_id } = request.body
        const seen = visibility === undefined ? playlist.visibility : visibilityOf(visibility)
        await updatePlaylist(
          kysely,
          id,
          {
            ...(name !== undefined && { name }),
            ...(description !== undefined && { description }),
            ...(visibility !== undefined && { visibility: seen }),
            ...(regenerate_id === true && { hashid: hashidOf(userId, id, seen) }),
          },
          clock(),
        )
        return show(id)
      },
    })
  }

  app.delete(
    '/:playlist',
    {
      config: {
        access: {
          auth: 'required',
          ability: 'write:playlist',
          permission: 'delete playlist',
          checked: 'after the row',
        },
      },
      schema: {
        operationId: 'playlist.destroy',
        tags: ['playlist'],
        summary: 'Delete a playlist',
        description: 'With its tracks, for good.',
        params: Params,
        response: { 200: done(MESSAGES.playlistDeleted('Best OPs')), ...unknown },
      },
    },
    async request => {
      const { id, name } = await access.playlistToChange(request)
      await requireFeature(request, 'playlists')
      if (!(await deletePlaylist(kysely, id))) throw notFound()
      return { message: MESSAGES.playlistDeleted(name) }
    },
  )
}

export default playlists
