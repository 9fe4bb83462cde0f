/** Calls the server by a client that @hey-api/openapi-ts generates. Fails if an answer is another. */
import assert from 'node:assert/strict'
import { client } from './generated/hey-api/client.gen.js'
import {
  mePlaylistIndex,
  meTokenStore,
  playlistStore,
  playlistTrackStore,
} from './generated/hey-api/sdk.gen.js'

const { API_URL = '', TOKEN = '' } = process.env
client.setConfig({ baseUrl: API_URL, auth: TOKEN })

const { data: created } = await playlistStore({
  body: { name: 'Best EDs of 2026', visibility: 'Private' },
  throwOnError: true,
})
const { playlist } = created

const { data: added } = await playlistTrackStore({
  path: { playlist: playlist.id ?? '' },
  body: { entry_id: 1, video_id: 1 },
  throwOnError: true,
})

const { data: list } = await mePlaylistIndex({
  query: {
    'filter[name-like]': '%EDs%',
    'filter[visibility]': ['Private', 'Unlisted'],
    'filter[track][video_id]': [1, 2],
    'filter[video]': { 'resolution-gte': 1 },
    'fields[playlist]': ['id', 'name', 'tracks_count'],
    include: ['tracks.video'],
    sort: ['-name', 'created_at'],
    'page[size]': 5,
    filter: { 'name-like-or': '%nothing%' },
  },
  throwOnError: true,
})
const [first] = list.playlists
assert.equal(first?.name, playlist.name)
assert.equal(first.tracks_count, 1)
assert.equal(first.tracks?.[0]?.id, added.track.id)
assert.equal(list.meta.per_page, 5)

const { data: issued } = await meTokenStore({
  body: { name: 'generated', abilities: ['read:playlist'] },
  throwOnError: true,
})
assert.deepEqual(issued.token.abilities, ['read:playlist'])
assert(issued.plain_text_token.startsWith(`${issued.token.id}|`))

const { error, response } = await playlistStore({ body: { name: '', visibility: 'Public' } })
assert.equal(response?.status, 422)
assert(error && 'errors' in error)
assert.deepEqual(error.errors.name, ['The name field is required.'])
