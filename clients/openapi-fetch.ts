/** Calls the server by a client of openapi-fetch, whose types openapi-typescript generates. Fails if an answer is another. */
import assert from 'node:assert/strict'
import createClient from 'openapi-fetch'
import type { paths } from './generated/openapi-typescript.js'

const { API_URL = '', TOKEN = '' } = process.env
const api = createClient<paths>({
  baseUrl: API_URL,
  headers: { Authorization: `Bearer ${TOKEN}` },
  // Lists are comma-separated.
  querySerializer: { array: { style: 'form', explode: false } },
})

const created = await api.POST('/api/playlist', { body: { name: 'Best OPs of 2026', visibility: 'Public' } })
assert(created.data, created.error?.message)
const { playlist } = created.data

const added = await api.POST('/api/playlist/{playlist}/track', {
  params: { path: { playlist: playlist.id ?? '' } },
  body: { entry_id: 1, video_id: 1 },
})
assert(added.data, added.error?.message)

const list = await api.GET('/api/me/playlist', {
  params: {
    query: {
      'filter[name-like]': '%2026%',
      'filter[visibility]': ['Public', 'Unlisted'],
      'filter[track][video_id]': [1, 2],
      'filter[video]': { 'resolution-gte': 1 },
      'fields[playlist]': ['id', 'name', 'tracks_count'],
      include: ['tracks.video'],
      sort: ['-name', 'created_at'],
      'page[number]': 1,
      'page[size]': 5,
      filter: { 'name-like-or': '%nothing%' },
    },
  },
})
assert(list.data, list.error?.message)
const [first] = list.data.playlists
assert.equal(first?.name, playlist.name)
assert.equal(first.tracks_count, 1)
assert.equal(first.tracks?.[0]?.id, added.data.track.id)
assert.equal(typeof first.tracks[0].video?.basename, 'string')
assert.equal(list.data.meta.per_page, 5)

const issued = await api.POST('/api/me/token', { body: { name: 'generated', abilities: ['read:playlist'] } })
assert(issued.data, issued.error?.message)
assert.deepEqual(issued.data.token.abilities, ['read:playlist'])
assert(issued.data.plain_text_token.startsWith(`${issued.data.token.id}|`))

const refused = await api.POST('/api/playlist', { body: { name: '', visibility: 'Public' } })
assert.equal(refused.response.status, 422)
assert(refused.error && 'errors' in refused.error)
assert.deepEqual(refused.error.errors.name, ['The name field is required.'])
