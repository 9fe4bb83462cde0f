import t from 'tap'
import { me } from '#src/api/endpoints.ts'
import * as resources from '#src/api/resources.ts'
import type { User } from '#src/auth/identity.ts'
import { userValues } from '#src/database/identity-columns.ts'
import {
  belongsTo,
  belongsToMany,
  hasMany,
  morphMany,
  pivotFields,
  resource,
  shape,
} from '#src/query/declare.ts'
import {
  type Endpoint,
  includeGuards,
  includePaths,
  includeTree,
  isFilterable,
  isSortable,
  type Resource,
} from '#src/query/resource.ts'
import { where } from '#src/query/scope.ts'

const NAMES = { type: 'playlist', schemaName: 'X', plural: 'playlists', about: '' }
const TABLE = { ...NAMES, table: 'playlists', key: 'playlist_id' } as const
const TEXT = { kind: 'string', shown: 'default' } as const

// Each marked line has one type error; the compiler rejects a mark without an error.
t.test('unknown tables and columns are type errors', async t => {
  const playlist = shape({ ...TABLE, fields: { name: TEXT, id: { ...TEXT, column: 'hashid' } } })
  t.equal(playlist.table, 'playlists')

  // @ts-expect-error
  shape({ ...NAMES, table: 'playlistz', key: 'id', fields: {} })
  // @ts-expect-error
  shape({ ...NAMES, table: 'playlists', key: 'id', fields: {} })
  // @ts-expect-error
  shape({ ...TABLE, fields: { nam: TEXT } })
  // @ts-expect-error
  shape({ ...TABLE, fields: { id: { ...TEXT, column: 'hashidd' } } })
  // @ts-expect-error
  shape({ ...TABLE, fields: { next: { ...TEXT, column: null } } })
  // @ts-expect-error
  shape({ ...TABLE, fields: { link: { ...TEXT, computed: { columns: ['path'], value: () => '' } } } })
  // @ts-expect-error
  shape({ ...TABLE, fields: {}, onlyNull: 'deleted_at' })
  // @ts-expect-error
  shape({ ...TABLE, fields: {}, except: { column: 'type', value: '' } })

  shape({ ...TABLE, fields: { next: { kind: 'string', shown: 'never', column: null } } })
  shape({ ...TABLE, fields: { link: { ...TEXT, computed: { columns: ['hashid'], value: () => '' } } } })
})

t.test('unknown columns of relations and undeclared abilities are type errors', async t => {
  const { image, notification, playlist, publicUser, track } = resources
  const access = 'inherited'
  const pivot = { table: 'imageables', ours: 'imageable_id', theirs: 'image_id', access } as const
  const own = shape({ ...TABLE, fields: {} })

  resource(own, { user: belongsTo(() => publicUser, { column: 'user_id', access }) })
  // @ts-expect-error
  resource(own, { user: belongsTo(() => publicUser, { column: 'owner_id', access }) })
  // @ts-expect-error
  resource(own, { user: belongsTo(() => publicUser, { column: 'user_id' }) })
  const join = { by: 'our column', column: 'user_id' } as const
  // @ts-expect-error
  resource(own, { user: { resource: () => publicUser, many: false, join } })
  // @ts-expect-error
  hasMany(() => track, { column: 'user_id', access })
  // @ts-expect-error
  hasMany(() => track, { column: 'playlist_id', access: { ability: 'read:tracks', permission: null } })
  // @ts-expect-error
  morphMany(() => notification, { id: 'tokenable_id', type: 'notifiable_type', access })
  // @ts-expect-error
  morphMany(() => notification, { id: 'notifiable_id', type: 'tokenable_type', access })

  belongsToMany(() => image, pivot)
  // @ts-expect-error
  belongsToMany(() => image, { ...pivot, table: 'imageable' })
  // @ts-expect-error
  belongsToMany(() => image, { ...pivot, ours: 'playlist_id' })
  // @ts-expect-error
  belongsToMany(() => image, { ...pivot, theirs: 'picture_id' })
  // @ts-expect-error
  belongsToMany(() => image, { ...pivot, type: 'model_type' })
  // @ts-expect-error
  belongsToMany(() => image, { ...pivot, onlyNull: 'deleted_at' })
  // @ts-expect-error
  pivotFields({ table: 'performances', name: '', about: '', fields: { aliaz: TEXT } })
  const shows = pivotFields({ table: 'performances', name: '', about: '', fields: { alias: TEXT } })
  // @ts-expect-error
  belongsToMany(() => image, { ...pivot, shows })

  const list = { kind: 'index', includes: [], search: 'ignored' } as const
  const order = [{ column: 'user_id', descending: false }] as const
  const endpoint: Endpoint<'playlists'> = { ...list, resource: playlist, order }
  t.equal(endpoint.resource, playlist)
  // @ts-expect-error
  const other: Endpoint<'playlists'> = { ...list, resource: track }
  const position = [{ column: 'position', descending: true }] as const
  // @ts-expect-error
  const ordered: Endpoint<'playlists'> = { ...endpoint, order: position }
  t.ok(other && ordered && where('visibility', '=', 0))
})

t.test('a count of a non-relation is an error', async t => {
  const tracks = {
    kind: 'integer',
    shown: 'default',
    aggregate: { of: 'count', relation: 'tracks' },
  } as const
  t.throws(() => resource(shape({ ...TABLE, fields: { tracks } })), /playlist.tracks counts tracks/)
})

t.test('abilities that the includes of GET /me require', async t => {
  const guards = Object.fromEntries(
    includePaths(me).map(path => [path, includeGuards(me.resource, includeTree(me.resource, [path]))]),
  )
  t.strictSame(guards, {
    externalprofiles: [{ ability: 'read:externalprofile', permission: 'view external profile' }],
    notifications: [{ ability: 'read:notification', permission: 'view notification' }],
    permissions: [],
    playlists: [{ ability: 'read:playlist', permission: 'view playlist' }],
    roles: [],
    'roles.permissions': [],
  })
})

t.test('nested includes require the abilities of each level', async t => {
  const site: Resource<'sessions'> = resource(shape({ ...NAMES, table: 'sessions', key: 'id', fields: {} }), {
    user: belongsTo(() => resources.user, { column: 'user_id', access: 'inherited' }),
  })
  const tree = includeTree(site, ['user.tokens', 'user.activities'])
  t.strictSame(includeGuards(site, tree), [
    { ability: 'read:me', permission: null },
    { ability: 'read:token', permission: null },
  ])
})

t.test('every field of a user is part of the identity', async t => {
  // GET /me makes no query for the user; it uses the identity.
  const known = userValues({} as User)
  for (const [name, { column = name, computed, aggregate }] of Object.entries(resources.user.fields)) {
    const columns = computed?.columns ?? (aggregate === undefined && column !== null ? [column] : [])
    for (const one of columns) t.ok(one in known, `${name}: ${one}`)
  }
})

t.test('a computed field can be neither filtered nor sorted, unless it says so', async t => {
  const computed = { columns: ['hashid'] as never, value: () => '' }
  t.notOk(isFilterable({ ...TEXT, computed }))
  t.notOk(isSortable({ ...TEXT, computed }))
  t.ok(isFilterable(TEXT) && isSortable(TEXT))
})
