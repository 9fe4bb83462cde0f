import t from 'tap'
import { myNotifications, myPlaylists, playlists } from '#src/api/endpoints.ts'
import { parseInteger } from '#src/input/integer.ts'
import { nestParameters, parseQueryString, splitPairs } from '#src/input/querystring.ts'
import { parseDate } from '#src/query/date.ts'
import { queryParser } from '#src/query/parse.ts'
import { parseValue } from '#src/query/values.ts'
import { HttpError } from '#src/responses/errors.ts'

const parse = queryParser(myPlaylists)
const ask = (query: string) => parse(`/me/playlist?${query}`)

/** The errors that a query gets. */
const errorsOf = (query: string, parser = parse) => {
  try {
    parser(`/?${query}`)
    return null
  } catch (error) {
    if (!(error instanceof HttpError)) throw error
    return { ...error.errors }
  }
}

/** A condition without its type's name, of which there is one. */
const condition = (query: string, type = 'playlist') => {
  const conditions = ask(query).conditions.get(type) ?? []
  return conditions.length === 1 ? conditions[0] : conditions
}

t.test('query strings are parsed as in PHP', async t => {
  const read = (text: string) => JSON.parse(JSON.stringify(parseQueryString(text)))
  t.strictSame(read(''), {})
  t.strictSame(read('a=1&b=2&a=3&a=4'), { a: { 0: '1', 1: '3', 2: '4' }, b: '2' }, 'equal names append')
  const form = nestParameters(splitPairs('a=1&b=2&a=3&c=1&c[d]=2&e[f]=1&e=2', 9))
  t.strictSame(
    JSON.parse(JSON.stringify(form)),
    { a: '3', b: '2', c: { d: '2' }, e: '2' },
    'in a form the last one wins, as in PHP',
  )
  t.strictSame(read('a[]=1&a=2&a[]=3'), { a: { 0: '1', 1: '2', 2: '3' } })
  t.strictSame(read('a=1&a[]=2'), { a: { 0: '1', 1: '2' } })
  t.strictSame(read('a[b]=1&a[c]=2'), { a: { b: '1', c: '2' } })
  t.strictSame(read('a%5Bb%5D%5Bc%5D=1'), { a: { b: { c: '1' } } })
  t.strictSame(read('a[]=1&a[]=2'), { a: { 0: '1', 1: '2' } })
  t.strictSame(read('a=1&a[b]=2'), { a: { 0: '1', b: '2' } }, 'nothing is lost')
  t.strictSame(read('a[b]=2&a=1'), { a: { 0: '1', b: '2' } })
  t.strictSame(read('a=+x+%20&b=%C3%A4+%E6%97%A5'), { a: 'x', b: 'ä 日' }, 'trimmed and decoded')
  t.strictSame(read('a=&b&c=%20'), { a: null, b: null, c: null }, 'empty values are null')
  t.strictSame(read('a=%zz%4&b=50%'), { a: '%zz%4', b: '50%' }, 'invalid escapes are literal')
  t.strictSame(
    read('a]b=1&&=2&c[d=3'),
    { 'a]b': '1', '': '2', 'c[d': '3' },
    'stray brackets are part of the name',
  )
  t.strictSame(
    read('a[5]=1&a[]=2&a[x]=3&a[]=4'),
    { a: { 5: '1', 6: '2', 7: '4', x: '3' } },
    'numbering continues',
  )
  const polluted = parseQueryString('__proto__[x]=1&a[__proto__][y]=2&constructor[prototype][z]=3')
  t.equal(Object.getPrototypeOf(polluted), null)
  t.strictSame(
    [({} as Record<string, unknown>).x, ({} as Record<string, unknown>).y, ({} as Record<string, unknown>).z],
    [undefined, undefined, undefined],
  )
  t.throws(() => parseQueryString('a[b][c][d][e]=1'), {
    name: 'QueryTooLarge',
    message: 'The query must not be nested deeper than 4 levels.',
  })
  t.throws(() => parseQueryString('a&'.repeat(101)), {
    name: 'QueryTooLarge',
    message: 'The query must not have more than 100 items.',
  })
})

t.test('lists as clients write them', async t => {
  /** Queries that mean the same. */
  const SPELLINGS = [
    [
      'include=images,user',
      'include=images&include=user',
      'include[]=images&include[]=user',
      'include[0]=images&include[1]=user',
      'include[1]=user&include[0]=images',
      'include=images&include[]=user',
      'include[]=images,user',
      'include%5B%5D=images&include%5B%5D=user',
    ],
    [
      'sort=name,-created_at',
      'sort=name&sort=-created_at',
      'sort[]=name&sort[]=-created_at',
      'sort[0]=name&sort[1]=-created_at',
    ],
    [
      'include=tracks&sort[track]=-created_at,id',
      'include=tracks&sort[track][]=-created_at&sort[track][]=id',
    ],
    [
      'fields[playlist]=id,name',
      'fields[playlist]=id&fields[playlist]=name',
      'fields[playlist][]=id&fields[playlist][]=name',
      'fields[playlist][0]=id&fields[playlist][1]=name',
    ],
    [
      'filter[name]=a,b',
      'filter[name]=a&filter[name]=b',
      'filter[name][]=a&filter[name][]=b',
      'filter[name][0]=a&filter[name][1]=b',
    ],
    ['filter[playlist][name-ne]=a,b', 'filter[playlist][name-ne][]=a&filter[playlist][name-ne][]=b'],
    [
      'filter[has]=images,user',
      'filter[has]=images&filter[has]=user',
      'filter[has][]=images&filter[has][]=user',
    ],
    ['filter[name]=a', 'filter[name][]=a', 'filter[name][0]=a'],
    ['filter[name-like]=a', 'filter[name-like][]=a'],
  ]
  for (const [canonical = '', ...spellings] of SPELLINGS) {
    for (const spelling of spellings) t.strictSame(ask(spelling), ask(canonical), spelling)
  }
  const REFUSED = {
    'page[size]=1&page[size]=2': 'page.size',
    'page[number][]=1': 'page.number',
    'filter[name-like]=a&filter[name-like]=b': 'filter.name-like',
    'include=images&include=images': 'include',
    'include[]=': 'include',
    'include[0]=images&include[0]=user': 'include',
    'include[x]=images': 'include',
    'sort[0][x]=name': 'sort',
    'fields[]=name': 'fields',
    'fields[playlist][x]=name': 'fields.playlist',
    'filter[]=a': 'filter',
    'filter[name][x]=a': 'filter.name',
    'filter[playlist][]=a': 'filter.playlist',
    'filter[playlist]=a&filter[playlist][name]=b': 'filter.playlist',
  }
  for (const query of ['q=a&q=b', 'q[]=a']) {
    t.strictSame(Object.keys(errorsOf(query, queryParser(playlists)) ?? {}), ['q'], query)
  }
  for (const [query, name] of Object.entries(REFUSED))
    t.strictSame(Object.keys(errorsOf(query) ?? {}), [name], query)
})

t.test('values', async t => {
  for (const [text, value] of [
    ['0', '0'],
    ['-0', '0'],
    ['+5', '5'],
    ['-9223372036854775808', '-9223372036854775808'],
    ['9223372036854775807', '9223372036854775807'],
  ] as const) {
    t.equal(parseInteger(text), value, text)
  }
  for (const text of [
    '',
    '01',
    '1.0',
    '1e3',
    ' 1',
    '0x1',
    '9223372036854775808',
    '-9223372036854775809',
    '١',
    'one',
  ]) {
    t.equal(parseInteger(text), undefined, `${text} is not an integer`)
  }

  for (const [text, value] of [
    ['2024', '2024-01-01 00:00:00.000000'],
    ['2024-02', '2024-02-01 00:00:00.000000'],
    ['2024-02-29', '2024-02-29 00:00:00.000000'],
    ['2024-02-29T23', '2024-02-29 23:00:00.000000'],
    ['2024-02-29T23:59', '2024-02-29 23:59:00.000000'],
    ['2024-02-29T23:59:58', '2024-02-29 23:59:58.000000'],
    ['2024-02-29T23:59:58.000001', '2024-02-29 23:59:58.000001'],
    ['2024-02-29T23:59:58.000001Z', '2024-02-29 23:59:58.000001'],
    ['2024-02-29T23:59:58.439Z', '2024-02-29 23:59:58.439000'],
    ['2024-02-29 23:59:58', '2024-02-29 23:59:58.000000'],
    ['+010000-02-29T00:00:00.000000Z', '10000-02-29 00:00:00.000000'],
    ['-000043-03-15T00:00:00.000000Z', '0044-03-15 00:00:00.000000 BC'],
  ] as const) {
    t.equal(parseDate(text), value, text)
  }
  for (const text of [
    ...[
      'words',
      'Thu, 01 Jan 2024 00:00:00 +0000',
      '2024-3',
      '2024-03-1',
      '2023-02-29',
      '2024-13',
      '2024-02-29T24',
    ],
    ...[
      '2024-02-29T23:60',
      '2024-02-29 23:59',
      '2024-02-29T23:59:58.5',
      '2024-02-29T23:59:58.0000001',
      '0000',
      '24',
      '2024-01-01Z',
      '2024-02-29T23:59Z',
      '2024-02-29T23:59:58.1234567Z',
      '2024-02-29T23:59:58.Z',
      '2023-02-29T00:00:00.000000Z',
      '02024-01-01T00:00:00.000000Z',
    ],
  ]) {
    t.equal(parseDate(text), undefined, `${text} is not a date`)
  }

  const boolean = (text: string) => parseValue({ kind: 'boolean', shown: 'default' }, text)
  for (const text of ['true', 'TRUE', '1', 'on', 'yes', 'Yes']) t.equal(boolean(text), true, text)
  for (const text of ['false', '0', 'off', 'no']) t.equal(boolean(text), false, text)
  for (const text of ['2', '9', 'string', 'y', 'toString', '__proto__', ''])
    t.equal(boolean(text), undefined, text)

  const label = (text: string) =>
    parseValue({ kind: 'enum', shown: 'default', labels: ['Public', 'Plan to Watch'] }, text)
  t.equal(label('public'), 0)
  t.equal(label('PLAN TO WATCH'), 1)
  for (const text of ['0', '1', 'PlanToWatch', 'secret', '']) t.equal(label(text), undefined, text)

  const float = (text: string) => parseValue({ kind: 'float', shown: 'default' }, text)
  for (const [text, value] of [
    ['8.5', 8.5],
    ['.5', 0.5],
    ['5.', 5],
    ['-1e2', -100],
  ] as const)
    t.equal(float(text), value, text)
  for (const text of ['1e999', 'NaN', 'Infinity', '1,5', '', '.', '0x1'])
    t.equal(float(text), undefined, text)
})

t.test('defaults without parameters', async t => {
  const query = parse('/me/playlist')
  t.equal(query.fields.size, 0, 'no fields')
  t.equal(query.includes.size, 0, 'no includes')
  t.equal(query.conditions.size, 0, 'no filters')
  t.equal(query.orders.size, 0, 'no sorts')
  t.strictSame(query.page, { number: 1, size: 15 }, 'page 1 of 15')
})

t.test('fields, includes and pages', async t => {
  t.strictSame([...ask('fields[playlist]=id,name').fields], [['playlist', ['id', 'name']]])
  const { includes } = ask('include=tracks.next')
  t.strictSame([...includes.keys()], ['tracks'], 'a path includes its prefixes')
  t.strictSame([...(includes.get('tracks')?.keys() ?? [])], ['next'])
  t.strictSame(
    [...ask('include=user,tracks,first').includes.keys()],
    ['first', 'tracks', 'user'],
    'in the order of the declaration',
  )
  for (const size of [1, 15, 100]) t.equal(ask(`page[size]=${size}`).page.size, size)
})

/** The types with timestamps among a playlist and its includes. */
const DATED = [
  ...['playlist', 'image', 'track', 'animethemeentry', 'animetheme', 'anime', 'group', 'song', 'artist'],
  ...['video', 'audio'],
]

t.test('sorts', async t => {
  t.strictSame(
    ask('sort=name').orders.get('playlist'),
    [{ field: 'name', descending: false }],
    'ascending by default',
  )
  t.strictSame(ask('sort=-name,id').orders.get('playlist'), [
    { field: 'name', descending: true },
    { field: 'id', descending: false },
  ])
  t.strictSame(ask('sort=random').orders.get('playlist'), [{ field: null, descending: false }])
  t.strictSame(
    [...ask('sort=created_at').orders.keys()],
    DATED,
    'without a type it applies to every type with the field',
  )
  t.strictSame(
    [...ask('sort[track]=created_at').orders.keys()],
    ['track'],
    'with a type it applies to that type',
  )
})

t.test('filters', async t => {
  const base = { is: 'compared', field: 'name', comparison: 'eq', value: 'x', connector: 'and' }
  t.strictSame(condition('filter[name]=x'), base, 'equal and `and` by default')
  for (const comparison of ['eq', 'ne', 'like', 'notlike']) {
    t.strictSame(condition(`filter[name-${comparison}]=x`), { ...base, comparison })
    for (const connector of ['and', 'or']) {
      t.strictSame(condition(`filter[name-${comparison}-${connector}]=x`), { ...base, comparison, connector })
    }
  }
  for (const comparison of ['eq', 'ne', 'lt', 'gt', 'lte', 'gte']) {
    t.match(condition(`filter[tracks_count-${comparison}]=1`), { comparison, value: '1' })
  }
  const list = { is: 'listed', field: 'name', values: ['a', 'b'], negated: false, connector: 'and' }
  t.strictSame(condition('filter[name]=a,b'), list)
  t.strictSame(condition('filter[name-or]=a,b'), { ...list, connector: 'or' })
  t.strictSame(condition('filter[name-not]=a,b'), { ...list, negated: true })
  t.strictSame(
    condition('filter[name-not]=a'),
    { ...list, values: ['a'], negated: true },
    'a single value is a list',
  )
  t.strictSame(condition('filter[name-ne]=a,b'), { ...list, negated: true }, 'a negated list')

  const has = { is: 'related', path: ['tracks'], comparison: 'gte', connector: 'and' }
  t.strictSame(condition('filter[has]=tracks'), has)
  t.strictSame(condition('filter[has-lt-or]=tracks'), { ...has, comparison: 'lt', connector: 'or' })
  t.strictSame(condition('filter[playlist][has]=tracks.next'), { ...has, path: ['tracks', 'next'] })

  t.strictSame(
    condition('filter[visibility]=public,private,unlisted'),
    [],
    'all values of an enum filter nothing',
  )
  t.ok(errorsOf('filter[tracks_exists]=true,false'), 'lists of booleans are refused')
})

t.test('scopes', async t => {
  const types = (query: string) => [...ask(query).conditions.keys()]
  t.strictSame(
    types('filter[created_at]=2024'),
    DATED,
    'without a type it applies to every type with the field',
  )
  t.strictSame(types('filter[name]=x'), ['playlist', 'user', 'anime', 'group', 'artist'])
  t.strictSame(types('filter[video_id]=1'), ['track'], 'also if the type of the endpoint lacks it')
  t.strictSame(types('filter[track][created_at]=2024'), ['track'])
  t.strictSame(types('filter[playlist][created_at]=2024'), ['playlist'])
})

t.test('validation rules', async t => {
  t.equal(errorsOf('fields[playlist]=id,name'), null, 'passes if all values pass')
  t.ok(errorsOf('fields[playlist]=id,nope'), 'fails for an invalid value')
  t.ok(errorsOf('fields[playlist]=id,id'), 'fails for duplicate values')
  t.ok(errorsOf('fields[playlist]=id,,name'), 'validates empty values')
  t.ok(errorsOf('sort=name,name'), 'fails if a sort is a duplicate')
  t.ok(errorsOf('sort=name,-name'), 'fails if a sort is a duplicate in the other direction')
  t.equal(errorsOf('sort=name,-id'), null, 'passes if there are none')
  t.ok(errorsOf('sort=random,name'), 'fails if random is not alone')
  t.equal(errorsOf('sort=random'), null, 'passes if random is alone')
  t.equal(errorsOf('sort=name'), null, 'passes without random')
  const notifications = queryParser(myNotifications)
  t.strictSame(errorsOf('include=x', notifications), { include: ['The include field is prohibited.'] })
  t.equal(errorsOf('include=', notifications), null, 'a prohibited parameter may be empty')
  t.ok(errorsOf('filter[has]=x', notifications), 'filter[has] is refused without relations')
  t.ok(errorsOf('filter[data]=x', notifications))
})
