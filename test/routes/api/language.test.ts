import fc from 'fast-check'
import t from 'tap'
import { addTracks, aNotification, anExternalProfile, aPlaylist } from '../../fixtures/lists.ts'
import { aUser } from '../../fixtures/users.ts'
import { get, startApp } from '../../support/app.ts'
import { createDatabase, ENGINES } from '../../support/databases.ts'

/** A playlist as the model knows it. */
interface Row {
  key: number
  id: string
  name: string
  description: string | null
  visibility: number
  created_at: string
  updated_at: string
  videos: (number | null)[]
}

const LABELS = ['Public', 'Private', 'Unlisted']
const NAMES = [
  'alpha',
  'Beta',
  'BETA',
  'gamma_1',
  '100%',
  'a\\b',
  "o'clock",
  'x"y',
  'ALPHA',
  'delta',
  'z',
  'Z',
]
const DATES = [
  '2024-01-01 00:00:00',
  '2024-06-15 12:30:00',
  '2024-06-15 12:30:00.000001',
  '2025-01-01 00:00:00',
]

const pick = <T>(values: readonly T[], index: number) => values[index % values.length] as T

const json = (date: string) => {
  const [seconds = '', fraction = ''] = date.split('.')
  return `${seconds.replace(' ', 'T')}.${fraction.padEnd(6, '0')}Z`
}

/** One condition: the parameter that says it, and what it means. Null is SQL's "unknown". */
interface Condition {
  name: string
  value: string
  or: boolean
  isAggregate: boolean
  holds(row: Row, videos: readonly (number | null)[]): boolean | null
}

const compare = <T extends string | number>(operator: string, a: T | null, b: T): boolean | null => {
  if (a === null) return null
  switch (operator) {
    case 'eq':
      return a === b
    case 'ne':
      return a !== b
    case 'lt':
      return a < b
    case 'gt':
      return a > b
    case 'lte':
      return a <= b
    default:
      return a >= b
  }
}

/** A LIKE pattern as MySQL and PostgreSQL read it. */
function likePattern(pattern: string): RegExp {
  let source = ''
  for (let i = 0; i < pattern.length; i += 1) {
    let character = pattern[i] as string
    const isEscape = character === '\\' && i + 1 < pattern.length
    if (isEscape) {
      i += 1
      character = pattern[i] as string
    }
    if (!isEscape && character === '%') source += '.*'
    else if (!isEscape && character === '_') source += '.'
    else source += character.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
  }
  return new RegExp(`^${source}$`, 'is')
}

const ORDERED = ['eq', 'ne', 'lt', 'gt', 'lte', 'gte'] as const

const connector = fc.constantFrom('', '-and', '-or')
const comparison = <T extends string>(...names: T[]) =>
  fc.option(fc.constantFrom(...names), { nil: undefined })

const textCondition = fc
  .record({
    field: fc.constantFrom('name', 'description'),
    operator: comparison('eq', 'ne', 'like', 'notlike'),
    connector,
    value: fc.oneof(
      fc.constantFrom(...NAMES),
      fc.stringMatching(/^[a-zA-Z%_\\1]{1,4}$/),
      fc.constantFrom('%a%', 'b_ta', '%\\%', '%\\\\%', '\\', '%\\'),
    ),
  })
  .map(({ field, operator, connector, value }): Condition => {
    const text = (row: Row) => row[field as 'name' | 'description']
    return {
      name: `${field}${operator ? `-${operator}` : ''}${connector}`,
      value,
      or: connector === '-or',
      isAggregate: false,
      holds: row => {
        const actual = text(row)
        if (actual === null) return null
        if (operator === 'like' || operator === 'notlike') {
          return likePattern(value).test(actual) === (operator === 'like')
        }
        return compare(operator ?? 'eq', actual.toLowerCase(), value.toLowerCase())
      },
    }
  })

const listCondition = fc
  .record({
    suffix: fc.constantFrom('', '-not', '-eq', '-ne', '-or', '-and'),
    values: fc.uniqueArray(fc.constantFrom(...NAMES, 'nobody'), { minLength: 2, maxLength: 4 }),
  })
  .map(({ suffix, values }): Condition => {
    const isNegated = suffix === '-not' || suffix === '-ne'
    const lower = values.map(value => value.toLowerCase())
    return {
      name: `name${suffix}`,
      value: values.join(','),
      or: suffix === '-or',
      isAggregate: false,
      holds: row => lower.includes(row.name.toLowerCase()) !== isNegated,
    }
  })

const enumCondition = fc
  .record({
    operator: comparison('eq', 'ne'),
    connector,
    value: fc.constantFrom(...LABELS, 'PUBLIC', 'private'),
  })
  .map(({ operator, connector, value }): Condition => {
    const wanted = LABELS.findIndex(label => label.toLowerCase() === value.toLowerCase())
    return {
      name: `visibility${operator ? `-${operator}` : ''}${connector}`,
      value,
      or: connector === '-or',
      isAggregate: false,
      holds: row => compare(operator ?? 'eq', row.visibility, wanted),
    }
  })

const dateCondition = fc
  .record({
    operator: comparison(...ORDERED),
    connector,
    value: fc.constantFrom('2024', '2024-06', '2024-06-15T12:30', '2024-06-15T12:30:00.000001', '2025-01-01'),
  })
  .map(({ operator, connector, value }): Condition => {
    const whole = `${value}${'2024-01-01T00:00:00.000000'.slice(value.length)}Z`
    return {
      name: `updated_at${operator ? `-${operator}` : ''}${connector}`,
      value,
      or: connector === '-or',
      isAggregate: false,
      holds: row => compare(operator ?? 'eq', json(row.updated_at), whole),
    }
  })

const countCondition = fc
  .record({ operator: comparison(...ORDERED), connector, value: fc.integer({ min: -1, max: 4 }) })
  .map(
    ({ operator, connector, value }): Condition => ({
      name: `tracks_count${operator ? `-${operator}` : ''}${connector}`,
      value: String(value),
      or: connector === '-or',
      isAggregate: true,
      holds: (_row, videos) => compare(operator ?? 'eq', videos.length, value),
    }),
  )

const FIELDS = [
  'created_at',
  'updated_at',
  'id',
  'name',
  'description',
  'visibility',
  'tracks_exists',
  'tracks_count',
] as const

const question = fc.record({
  conditions: fc.uniqueArray(
    fc.oneof(textCondition, listCondition, enumCondition, dateCondition, countCondition),
    { maxLength: 4, selector: ({ name }) => name },
  ),
  video: fc.option(fc.constantFrom(1, 2, 3), { nil: undefined }),
  fields: fc.option(fc.uniqueArray(fc.constantFrom(...FIELDS), { minLength: 1 }), { nil: undefined }),
  sorts: fc.uniqueArray(
    fc.record({
      field: fc.constantFrom('name', 'description', 'visibility', 'updated_at', 'tracks_count', 'id'),
      descending: fc.boolean(),
    }),
    { maxLength: 3, selector: ({ field }) => field },
  ),
  page: fc.integer({ min: 1, max: 4 }),
  size: fc.integer({ min: 1, max: 10 }),
})

type Question = typeof question extends fc.Arbitrary<infer T> ? T : never

/** Groups joined by `or`, each of conditions joined by `and`: all of one group must hold. */
function holdTogether(conditions: Condition[], row: Row, videos: readonly (number | null)[]): boolean {
  if (conditions.length === 0) return true
  const groups: Condition[][] = []
  for (const [index, condition] of conditions.entries()) {
    if (index === 0 || condition.or) groups.push([condition])
    else groups.at(-1)?.push(condition)
  }
  return groups.some(group => group.every(condition => condition.holds(row, videos) === true))
}

/** What the language says the answer is, worked out in memory. */
function answer(rows: readonly Row[], { conditions, video, fields, sorts, page, size }: Question) {
  // A date's name alone constrains the tracks that are counted too: these are all from 2026.
  const dates = conditions.filter(({ name }) => name.startsWith('updated_at'))
  const track = { updated_at: '2026-02-01 00:00:00' } as Row
  const hasVideo = (id: number | null): Condition[] =>
    video === undefined
      ? []
      : [{ name: 'video_id', value: '', or: false, isAggregate: false, holds: () => id === video }]
  const videosOf = (row: Row) => row.videos.filter(id => holdTogether([...dates, ...hasVideo(id)], track, []))
  const matching = rows.filter(
    row =>
      holdTogether(
        conditions.filter(({ isAggregate }) => !isAggregate),
        row,
        videosOf(row),
      ) &&
      holdTogether(
        conditions.filter(({ isAggregate }) => isAggregate),
        row,
        videosOf(row),
      ),
  )
  const value = (row: Row, field: string): string | number | null => {
    if (field === 'tracks_count') return videosOf(row).length
    const plain = row[field as keyof Row] as string | number | null
    return field === 'name' || field === 'description'
      ? ((plain as string | null)?.toLowerCase() ?? null)
      : plain
  }
  const order = (a: string | number | null, b: string | number | null) =>
    a === b ? 0 : a === null ? -1 : b === null ? 1 : a < b ? -1 : 1
  const sorted = [...matching].sort((a, b) => {
    const base = -order(json(a.created_at), json(b.created_at))
    if (base !== 0) return base
    for (const { field, descending } of sorts) {
      const by = order(value(a, field), value(b, field))
      if (by !== 0) return descending ? -by : by
    }
    return b.key - a.key
  })
  const shown = fields ?? ['id', 'name', 'description', 'visibility']
  return {
    playlists: sorted.slice((page - 1) * size, page * size).map(row => {
      const whole: Record<(typeof FIELDS)[number], unknown> = {
        created_at: json(row.created_at),
        updated_at: json(row.updated_at),
        id: row.id,
        name: row.name,
        description: row.description,
        visibility: LABELS[row.visibility],
        tracks_exists: videosOf(row).length > 0,
        tracks_count: videosOf(row).length,
      }
      return Object.fromEntries(FIELDS.filter(name => shown.includes(name)).map(name => [name, whole[name]]))
    }),
    hasNext: sorted.length > page * size,
  }
}

function urlOf({ conditions, video, fields, sorts, page, size }: Question): string {
  const pairs: [string, string][] = [
    ...conditions.map(({ name, value }): [string, string] => [`filter[${name}]`, value]),
    ...(video === undefined ? [] : [['filter[track][video_id]', String(video)] as [string, string]]),
    ...(fields ? [['fields[playlist]', fields.join()] as [string, string]] : []),
    ...(sorts.length > 0
      ? [
          ['sort', sorts.map(({ field, descending }) => (descending ? '-' : '') + field).join()] as [
            string,
            string,
          ],
        ]
      : []),
    ['page[number]', String(page)],
    ['page[size]', String(size)],
  ]
  return `/api/me/playlist?${pairs.map(pair => pair.map(encodeURIComponent).join('=')).join('&')}`
}

/** Query strings that come near the language and leave it in every direction. */
const nearMiss = (() => {
  const word = fc.oneof(
    fc.constantFrom(
      'playlist',
      'track',
      'user',
      'notification',
      'role',
      'name',
      'id',
      'created_at',
      'read_at',
      'has',
      'number',
      'size',
    ),
    fc.constantFrom(
      'visibility',
      'tracks_count',
      'video_id',
      'score',
      'data',
      'name-like',
      'name-not',
      'id-gt-or',
      'has-lt',
      '__proto__',
      'constructor',
      '',
    ),
    fc.string({ maxLength: 6 }),
  )
  const value = fc.oneof(
    fc.constantFrom(
      '',
      '1',
      '0',
      '-1',
      'true',
      'Public',
      'tracks',
      '2024',
      '2024-02-30',
      '0000',
      '9999-12-31',
      'a,b',
      ',',
      '%',
      '\\',
      '1e309',
      '9223372036854775807',
      '-9223372036854775808',
      'random',
      '-name',
      'tracks.next',
      'null',
      '\u0000',
      '\ud800',
    ),
    fc.string({ maxLength: 12, unit: 'binary' }),
    fc.integer().map(String),
    fc.double().map(String),
  )
  const parameter = fc.tuple(
    fc.constantFrom('fields', 'include', 'filter', 'sort', 'page', 'q', 'other'),
    fc.array(word, { maxLength: 3 }),
    value,
  )
  const encode = (text: string) => encodeURIComponent(text.replace(/\p{Surrogate}/gu, ''))
  return fc.oneof(
    fc
      .array(parameter, { maxLength: 6 })
      .map(list =>
        list
          .map(
            ([name, path, text]) =>
              `${name}${path.map(part => `[${encode(part)}]`).join('')}=${encode(text)}`,
          )
          .join('&'),
      ),
    fc.stringMatching(/^[\w%[\]=&+.,~-]{0,60}$/),
  )
})()

for (const engine of ENGINES) {
  t.test(`the query language on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: { RATE_LIMIT_AUTHENTICATED: '1000000' } })
    const user = await aUser(database, { roles: ['Verified'] })
    const rows: Row[] = []
    for (let i = 0; i < 24; i += 1) {
      const row = {
        name: pick(NAMES, i * 5),
        description: i % 3 === 0 ? null : pick(NAMES, i * 7),
        visibility: (i * 2) % 3,
        created_at: pick(DATES, Math.floor(i / 5)),
        updated_at: pick(DATES, i),
        videos: [[], [1], [1, 2], [1, 1, 3], [null, 2]][i % 5] ?? [],
      }
      const { id, hashid } = await aPlaylist(database, user.id, {
        ...row,
        createdAt: row.created_at,
        updatedAt: row.updated_at,
      })
      await addTracks(database, id, row.videos)
      rows.push({ ...row, key: id, id: hashid })
    }
    await database.kysely
      .updateTable('playlist_tracks')
      .set({ created_at: '2026-02-01 00:00:00', updated_at: '2026-02-01 00:00:00' })
      .execute()
    await anExternalProfile(database, user.id)
    await aNotification(database, user.id)

    t.test('every answer is the one that the language says', async t => {
      let compared = 0
      await fc.assert(
        fc.asyncProperty(question, async asked => {
          const { status, json } = await get(app, urlOf(asked), user.token)
          if (status !== 200) throw new Error(`${status} ${JSON.stringify(json)}`)
          const expected = answer(rows, asked)
          const actual = { playlists: json.playlists, hasNext: json.links.next !== null }
          if (JSON.stringify(actual) !== JSON.stringify(expected)) {
            throw new Error(
              `${decodeURIComponent(urlOf(asked))}\n${JSON.stringify(actual)}\n${JSON.stringify(expected)}`,
            )
          }
          compared += 1
        }),
        { numRuns: 400 },
      )
      t.equal(compared, 400)
    })

    t.test('whatever is asked is answered, or told to be wrong', async t => {
      const seen = new Map<number, number>()
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom('/api/me', '/api/me/playlist', '/api/me/externalprofile', '/api/me/notification'),
          nearMiss,
          async (path, query) => {
            const { status, json } = await get(app, `${path}?${query}`, user.token)
            if (status !== 200 && status !== 422)
              throw new Error(`${status} ${path}?${query} ${JSON.stringify(json)}`)
            if (status === 422 && typeof Object.values(json.errors)[0] !== 'object')
              throw new Error('no errors')
            seen.set(status, (seen.get(status) ?? 0) + 1)
          },
        ),
        { numRuns: 600 },
      )
      t.ok((seen.get(200) ?? 0) > 30 && (seen.get(422) ?? 0) > 30, 'of both there are some')
    })
  })
}
