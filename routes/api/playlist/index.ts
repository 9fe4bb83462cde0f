import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { playlists as endpoint, onePlaylist } from '#src/api/endpoints.ts'
import { PLAYLIST_VISIBILITY } from '#src/api/resources/playlist.ts'
import { messageResponse, refusal, successResponse } from '#src/api/responses.ts'
import { rowOf } from '#src/http/loaded-row.ts'
import { UPDATE_METHODS } from '#src/http/update-methods.ts'
import { Label, Text, toLabel, toTitle } from '#src/input/list.ts'
import { PlaylistPath } from '#src/input/list-paths.ts'
import { toBooleanValue } from '#src/input/values.ts'
import { deferValidation, requireValid } from '#src/lists/deferred-validation.ts'
import { pageHandler, rowHandler } from '#src/lists/handlers.ts'
import { playlistLoaders } from '#src/lists/playlist-access.ts'
import { createPlaylists, PUBLIC_PLAYLISTS } from '#src/lists/playlists.ts'
import { pageSchema, showSchema } from '#src/query/openapi.ts'
import { where } from '#src/query/scope.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const Name = Text(192, 'The name.', 'Best OPs')
const Description = Type.Union([Text(1000, 'What it is about.', 'One a week, as they aired.'), Type.Null()])
const Visibility = Label(
  PLAYLIST_VISIBILITY,
  'Who can see it: `Public` everyone, `Private` its owner, `Unlisted` everyone with the id. The id of a playlist that becomes unlisted can be guessed, unless `regenerate_id` is also true. Case-insensitive; 0, 1 and 2 are accepted too.',
  'Public',
)
const RegenerateId = Type.Union([Type.Boolean(), Type.Null()], {
  description:
    'Whether to generate a new id: a random one if the playlist is unlisted, which replaces the old one; otherwise the one derived from its numeric ids, which is usually unchanged.',
  examples: [false],
})

const readings = {
  name: toTitle,
  visibility: toLabel(PLAYLIST_VISIBILITY),
  regenerate_id: toBooleanValue,
}

const INDEX = {
  operationId: 'playlist.index',
  tags: ['playlist'],
  summary: 'List public playlists',
  description:
    'Returns the public playlists of all users, oldest first. With `q`, only those whose name has the words, best matches first.',
  response: { 200: successResponse(pageSchema(endpoint, 'A page of playlists.')) },
}

const STORE = {
  operationId: 'playlist.store',
  tags: ['playlist'],
  summary: 'Create a playlist',
  description:
    'Creates an empty playlist of the caller. The id of an unlisted one is random. A user can have at most USER_MAX_PLAYLISTS playlists.',
  body: Type.Object({
    name: Name,
    description: Type.Optional(Description),
    visibility: Visibility,
  }),
  response: {
    201: successResponse(showSchema(onePlaylist, 'The playlist.')),
    403: refusal('The caller has too many playlists.'),
  },
}

const SHOW = {
  operationId: 'playlist.show',
  tags: ['playlist'],
  summary: 'Show a playlist',
  description: 'Returns a public or unlisted playlist, or a private one of the caller.',
  params: PlaylistPath,
  response: { 200: successResponse(showSchema(onePlaylist, 'The playlist.')) },
}

const UPDATE = {
  tags: ['playlist'],
  summary: 'Change a playlist',
  description:
    'Omitted fields stay unchanged, with `PUT` as with `PATCH`. The id stays unchanged too, unless `regenerate_id` is true.',
  params: PlaylistPath,
  body: Type.Object({
    name: Type.Optional(Name),
    description: Type.Optional(Description),
    visibility: Type.Optional(Visibility),
    regenerate_id: Type.Optional(RegenerateId),
  }),
  response: { 200: successResponse(showSchema(onePlaylist, 'The playlist.')) },
}

const DESTROY = {
  operationId: 'playlist.destroy',
  tags: ['playlist'],
  summary: 'Delete a playlist',
  description: 'Deletes the playlist and its tracks permanently.',
  params: PlaylistPath,
  response: { 200: messageResponse() },
}

const READS = { auth: 'optional', ability: 'read:playlist' } as const
const WRITES = { auth: 'required', ability: 'write:playlist', feature: 'playlists' } as const

const playlistRoutes: FastifyPluginAsyncTypebox = async app => {
  const { config, clock, random } = app
  const { kysely } = app.database
  const { readablePlaylist, writablePlaylist } = playlistLoaders({ kysely, config })
  const playlists = createPlaylists({ kysely, config, clock, random })
  const list = pageHandler(app, endpoint)
  const showRow = rowHandler(app, onePlaylist)
  const show = (id: number, request?: FastifyRequest) => showRow(where('playlist_id', '=', id), id, request)

  app.get(
    '',
    { config: { access: { ...READS, permission: 'view playlist' }, endpoint }, schema: INDEX },
    request => list(request, () => PUBLIC_PLAYLISTS),
  )

  app.post(
    '',
    {
      ...deferValidation(readings),
      config: {
        access: { ...WRITES, permission: 'create playlist', quota: playlists.quota },
        takesQuery: true,
      },
      schema: STORE,
    },
    async (request, reply) => {
      requireValid(request)
      const id = await playlists.create(request.caller(), request.body)
      return reply.code(201).send(await show(id))
    },
  )

  app.get(
    '/:playlist',
    {
      config: {
        access: { ...READS, permission: 'view playlist', load: readablePlaylist },
        endpoint: onePlaylist,
      },
      schema: SHOW,
    },
    request => show(rowOf(request).id, request),
  )

  for (const method of UPDATE_METHODS) {
    app.route({
      method,
      url: '/:playlist',
      ...deferValidation(readings),
      config: {
        access: { ...WRITES, permission: 'update playlist', load: writablePlaylist },
        takesQuery: true,
      },
      schema: { ...UPDATE, operationId: `playlist.update.${method.toLowerCase()}` },
      handler: async request => {
        requireValid(request)
        const playlist = rowOf(request)
        await playlists.change(playlist, request.body)
        return show(playlist.id)
      },
    })
  }

  app.delete(
    '/:playlist',
    {
      config: { access: { ...WRITES, permission: 'delete playlist', load: writablePlaylist } },
      schema: DESTROY,
    },
    async request => {
      const playlist = rowOf(request)
      await playlists.remove(playlist)
      return { message: MESSAGES.playlistDeleted(playlist.name) }
    },
  )
}

export default playlistRoutes
