import fc from 'fast-check'
import { type DocumentedOperation, type Json, operationsOf, resolvePart } from '../fixtures/openapi.ts'
import {
  type Expectation,
  type FuzzBody,
  type FuzzRequest,
  KINDS,
  type Kind,
  named,
  type PathValue,
} from './request.ts'

/** Operations whose valid bodies can be refused for reasons that a schema cannot express. */
const HAS_MORE_RULES = new Set([
  ...['register', 'login', 'sanctum.token', 'reset-password', 'forgot-password', 'two-factor-challenge'],
  ...['user.confirm-password', 'user.password', 'user.profile-information'],
  ...['two-factor.enable', 'two-factor.disable', 'two-factor.confirm', 'two-factor.replace-recovery-codes'],
  // Abilities, addresses and expiries are texts.
  'me.token.store',
  // A place is given once, by a track of the same playlist.
  ...['playlist.track.store', 'playlist.track.update.put', 'playlist.track.update.patch'],
])

/** Fields whose valid values depend on the caller. */
const CALLER_VALUES: Readonly<Record<string, readonly string[]>> = {
  email: ['email', 'new-email'],
  password: ['password'],
  current_password: ['password'],
  password_confirmation: ['password'],
  entry_id: ['entry'],
  video_id: ['video'],
  next: ['track:0', 'track:1', 'track:2'],
  previous: ['track:0', 'track:1', 'track:2'],
  name: ['new-name'],
  code: ['code'],
}

/** Texts at the limits of what programs can handle. A page must not show the first one as a tag. */
export const ODD_TEXTS = [
  '<fuzz"\'&>',
  '',
  ' ',
  '\u0000',
  'a\u0000b',
  '\ud800',
  '\u200b\u202e\ufeff',
  'İıßſ',
  '👩‍👩‍👧‍👦'.repeat(30),
  'e\u0301'.repeat(300),
  '\u1100'.repeat(256),
  "' or 1=1 --",
  '%',
  '_%\\',
  '#{7*7}{{7*7}}',
  '../../etc/passwd',
  'null',
  'undefined',
  'NaN',
  '__proto__',
  '-0',
  '1e400',
  '0x10',
  '٣',
  '9'.repeat(40),
  'a,b,,c',
  '[]',
  '[object Object]',
  'a'.repeat(255),
  'a'.repeat(256),
  'ä'.repeat(1_000),
  'x'.repeat(20_000),
] as const

const ODD_NUMBERS = [0, -1, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 53, -(2 ** 63), 1.5, 1e308] as const

const ODD_DATES = [
  '0000',
  '0001-01-01',
  '9999-12-31T23:59:59.999999',
  '2026-02-30',
  '2026-13',
  '10000',
  '-0001',
  '2026-01-01T24',
] as const

const oddText = fc.constantFrom(...ODD_TEXTS)
const odd = fc.oneof(
  oddText,
  fc.constantFrom(...ODD_NUMBERS),
  fc.constantFrom(...ODD_DATES),
  fc.constantFrom(null, true, false),
  fc.string({ unit: 'binary', maxLength: 40 }),
)

/** Text without control characters, and without what is no character at all. */
const plainText = (minLength: number, maxLength: number) =>
  fc
    .string({ unit: 'grapheme', minLength, maxLength: Math.min(maxLength, 40) })
    // Trimmed and empty text is null.
    .map(text => text.replace(/^\s+|\s+$/g, 'x'))
    .filter(text => [...text].length >= minLength && text.length <= maxLength)

/** Makes arbitrary requests from an OpenAPI document. */
export class Generator {
  readonly operations: readonly DocumentedOperation[]
  readonly #document: Json
  readonly #requests: readonly fc.Arbitrary<FuzzRequest>[]
  readonly #writes: readonly fc.Arbitrary<FuzzRequest>[]

  constructor(document: Json) {
    this.#document = document
    this.operations = operationsOf(document)
    this.#requests = this.operations.map(operation => this.#requestOf(operation))
    this.#writes = this.operations.flatMap(({ method, path }, index) =>
      method !== 'get' && path.startsWith('/api/')
        ? (this.#requests[index] as fc.Arbitrary<FuzzRequest>)
        : [],
    )
  }

  /** Any request. */
  get requests(): fc.Arbitrary<FuzzRequest> {
    return fc.oneof(...this.#requests)
  }

  /** Some writes that are sent at the same time: several ones, or one many times. */
  get concurrentWrites(): fc.Arbitrary<FuzzRequest[]> {
    const write = fc.oneof(...this.#writes)
    return fc.oneof(
      fc.array(write, { minLength: 2, maxLength: 6 }),
      fc
        .tuple(write, fc.integer({ min: 2, max: 6 }))
        .map(([one, times]) => Array<FuzzRequest>(times).fill(one)),
    )
  }

  #requestOf({ path, operation, parameters, ...described }: DocumentedOperation): fc.Arbitrary<FuzzRequest> {
    const method = described.method.toUpperCase()
    const { operationId } = operation
    const query = parameters.filter(one => one.in === 'query')
    const bodySchema = this.#bodySchema(operation)
    return fc
      .tuple(fc.constantFrom(...KINDS), fc.nat(99))
      .chain(([kind, chance]) =>
        fc.record({
          path: this.#pathOf(path, kind),
          query: this.#queryOf(query, kind),
          rawQuery:
            kind === 'broken'
              ? fc.constantFrom(
                  '',
                  '',
                  '',
                  '%zz',
                  'a=%ff',
                  'filter[',
                  '&&=&',
                  'page[size][x]=1',
                  'sort[]=a&sort[]=b',
                )
              : fc.constant(''),
          body: bodySchema === null ? bodyless(method, kind) : this.#bodyOf(bodySchema, kind),
          headers: oddHeaders(kind),
          chance: fc.constant(chance),
          kind: fc.constant(kind),
        }),
      )
      .map(({ path, query, rawQuery, body, headers, chance, kind }) => {
        const isForged = method !== 'GET' && chance < 5
        const isFormed = path.every(part => typeof part === 'string' || part.owner !== 'none')
        const isUnchanged = Object.keys(headers).length === 0
        const hasOwnRules = body.value !== null && HAS_MORE_RULES.has(operationId)
        const isValid = kind === 'valid' && isFormed && isUnchanged && !hasOwnRules
        const expectation: Expectation = body.isRefused ? 'refused' : isValid ? 'accepted' : 'any'
        const request = {
          operationId,
          kind,
          expectation,
          method,
          path,
          query,
          rawQuery,
          headers,
          body: body.value,
          isForged,
        }
        // The reason for a refusal is not in an answer to HEAD.
        if (method === 'GET' && chance < 4) return { ...request, method: 'HEAD', expectation: 'any' as const }
        if (method === 'GET') return request
        return chance >= 90 ? overridden(request) : request
      })
  }

  /** The schema of a body in JSON; null if there is none. */
  #bodySchema({ requestBody }: Json): Json {
    if (requestBody === undefined) return null
    const { schema } = resolvePart(this.#document, requestBody).content['application/json']
    return resolvePart(this.#document, schema)
  }

  #pathOf(path: string, kind: Kind): fc.Arbitrary<readonly (string | PathValue)[]> {
    const parts = path.split(/(\{\w+\})/).filter(part => part !== '')
    return fc.tuple(
      ...parts.map(part => {
        const name = /^\{(\w+)\}$/.exec(part)?.[1]
        if (name === undefined) return fc.constant(part)
        const pick = fc.nat(7).map(String)
        const own = fc.record({ name: fc.constant(name), owner: fc.constant('own' as const), pick })
        const other = fc.record({ name: fc.constant(name), owner: fc.constant('other' as const), pick })
        const none = fc.record({
          name: fc.constant(name),
          owner: fc.constant('none' as const),
          pick: fc
            .oneof(oddText, fc.constantFrom(...ODD_NUMBERS).map(String))
            .filter(text => text !== '' && !/^\.{1,2}$/.test(text)),
        })
        return kind === 'valid'
          ? fc.oneof({ weight: 8, arbitrary: own }, { weight: 1, arbitrary: other })
          : fc.oneof(
              { weight: 4, arbitrary: own },
              { weight: 1, arbitrary: other },
              { weight: 2, arbitrary: none },
            )
      }),
    )
  }

  #queryOf(parameters: readonly Json[], kind: Kind): fc.Arbitrary<(readonly [string, string])[]> {
    if (parameters.length === 0) {
      return kind === 'broken' ? fc.array(fc.tuple(oddText, oddText), { maxLength: 2 }) : fc.constant([])
    }
    const some = fc
      .subarray([...parameters], { maxLength: Math.min(4, parameters.length) })
      .chain(chosen => fc.tuple(...chosen.map(one => this.#pairsOf(one, kind))))
    const pairs = some.map(lists => lists.flat())
    if (kind !== 'broken') return pairs
    return fc
      .tuple(
        pairs,
        fc.array(
          fc.tuple(fc.oneof(oddText, fc.constantFrom(...parameters.map(one => one.name as string))), oddText),
          { maxLength: 2 },
        ),
      )
      .map(lists => lists.flat())
  }

  /** The pairs of a query parameter. */
  #pairsOf({ name, schema: part }: Json, kind: Kind): fc.Arbitrary<[string, string][]> {
    const schema = resolvePart(this.#document, part)
    if (schema.type !== 'object') {
      return this.#textOf(schema, kind).map(text => [[name, text]])
    }
    // Conditions that the document names by their general form alone are in the other parameters.
    if (schema.properties === undefined) return fc.constant([])
    return fc
      .subarray(Object.keys(schema.properties), { minLength: 1, maxLength: 1 })
      .chain(keys =>
        fc.tuple(
          ...keys.map(key =>
            this.#textOf(resolvePart(this.#document, schema.properties[key]), kind).map(
              (text): [string, string] => [`${name}[${key}]`, text],
            ),
          ),
        ),
      )
  }

  /** A value of a query parameter, lists with commas. */
  #textOf(schema: Json, kind: Kind): fc.Arbitrary<string> {
    const value = (one: Kind) =>
      schema.type === 'array'
        ? (schema.uniqueItems && one === 'valid' ? fc.uniqueArray : fc.array)(
            this.#valueOf(resolvePart(this.#document, schema.items), one, 'query'),
            { minLength: 1, maxLength: 3 },
          ).map(list => list.map(String).join(','))
        : this.#valueOf(schema, one, 'query').map(String)
    const valid = value('valid').filter(text => text !== '')
    return kind === 'valid' ? valid : fc.oneof(valid, value('boundary'), odd.map(String))
  }

  /** A value for a schema. */
  #valueOf(part: Json, kind: Kind, place: 'query' | 'body'): fc.Arbitrary<unknown> {
    const schema = resolvePart(this.#document, part)
    if (kind !== 'valid') return fc.oneof(this.#boundaryOf(schema, place), odd)
    if (schema.anyOf) return fc.oneof(...schema.anyOf.map((one: Json) => this.#valueOf(one, kind, place)))
    if (schema.enum) return fc.constantFrom(...(schema.enum as unknown[]))
    const [type] = [schema.type].flat()
    if (type === 'integer' || type === 'number') {
      return fc.integer({ min: schema.minimum ?? 0, max: schema.maximum ?? 2 ** 31 - 1 })
    }
    if (type === 'boolean') return fc.boolean()
    if (type === 'null') return fc.constant(null)
    if (type === 'array') {
      return fc.array(this.#valueOf(schema.items, kind, place), {
        minLength: schema.minItems ?? 0,
        maxLength: 3,
      })
    }
    if (schema.pattern?.startsWith('^\\d{4}')) return partialDate
    if (schema.pattern?.startsWith('^\\d')) return fc.nat(99_999).map(String)
    const text = plainText(schema.minLength ?? (place === 'body' ? 0 : 1), schema.maxLength ?? 200)
    // A comma makes a list of a condition.
    return place === 'body' ? text : text.map(characters => characters.replaceAll(',', 'x'))
  }

  /** A value at a limit of a schema. */
  #boundaryOf(schema: Json, place: 'query' | 'body'): fc.Arbitrary<unknown> {
    const limits: unknown[] = [null, '']
    for (const limit of [schema.minimum, schema.maximum]) {
      if (limit !== undefined) limits.push(limit, limit - 1, limit + 1)
    }
    for (const limit of [schema.minLength, schema.maxLength]) {
      if (limit !== undefined)
        limits.push('a'.repeat(limit), 'ä'.repeat(limit), '👍'.repeat(limit), 'a'.repeat(limit + 1))
    }
    if (schema.maxItems !== undefined)
      limits.push(Array(schema.maxItems).fill('a'), Array(schema.maxItems + 1).fill('a'), [])
    return fc.oneof(this.#valueOf(schema, 'valid', place), fc.constantFrom(...limits))
  }

  #bodyOf(schema: Json, kind: Kind): fc.Arbitrary<{ value: FuzzBody | null; isRefused: boolean }> {
    const required: string[] = schema.required ?? []
    const names = Object.keys(schema.properties)
    const type = fc.constantFrom('json' as const, 'json' as const, 'form' as const, 'multipart' as const)
    const fields = fc
      .subarray(names.filter(name => !required.includes(name)))
      .chain(optional =>
        fc.tuple(
          ...names
            .filter(name => required.includes(name) || optional.includes(name))
            .map(name =>
              this.#fieldOf(name, schema.properties[name], kind).map(value => [name, value] as const),
            ),
        ),
      )
    const formed = fc.record({ type, fields }).map(value => ({ value, isRefused: false }))
    if (kind !== 'broken') return formed
    const valid = fc.record({
      type,
      fields: fc.tuple(
        ...names.map(name =>
          this.#fieldOf(name, schema.properties[name], 'valid').map(value => [name, value] as const),
        ),
      ),
    })
    const raw = rawBody.map(value => ({ value, isRefused: false }))
    const malformed = fc
      .constantFrom('{', '{"name":', '{"name":"a"', '[1', '{"a":1}}', "{'a':1}", '{"a":NaN}', 'name=a')
      .map(text => ({
        value: { type: 'raw', contentType: 'application/json', text, encoding: 'utf8' } satisfies FuzzBody,
        isRefused: true,
      }))
    const textFields = names.filter(
      name => resolvePart(this.#document, schema.properties[name]).type === 'string',
    )
    return fc.oneof(
      formed,
      raw,
      malformed,
      ...(required.length === 0
        ? []
        : [
            fc.tuple(valid, fc.constantFrom(...required)).map(([body, name]) => ({
              value: { ...body, fields: body.fields.filter(([field]) => field !== name) },
              isRefused: true,
            })),
          ]),
      ...(textFields.length === 0
        ? []
        : [
            fc
              .tuple(
                valid,
                fc.constantFrom(...textFields),
                fc.constantFrom({ a: 'b' }, ['a', 'b'], { 0: { 1: 'x' } }),
              )
              .map(([body, name, value]) => ({
                value: {
                  ...body,
                  fields: body.fields.map(([field, old]) => [field, field === name ? value : old] as const),
                },
                isRefused: true,
              })),
          ]),
      fc
        .tuple(
          valid,
          fc.constantFrom(
            '__proto__',
            'constructor',
            'id',
            'user_id',
            'hashid',
            'created_at',
            'is_admin',
            '_token',
          ),
          odd,
        )
        .map(([body, name, value]) => ({
          value: { ...body, fields: [...body.fields, [name, value] as const] },
          isRefused: false,
        })),
    )
  }

  #fieldOf(name: string, part: Json, kind: Kind): fc.Arbitrary<unknown> {
    const known = CALLER_VALUES[name]
    const value = this.#valueOf(part, kind, 'body')
    if (known === undefined) return value
    const own = fc.constantFrom(...known).map(named)
    return kind === 'valid' ? own : fc.oneof(own, value)
  }
}

/** The same request as a form that names its method, which browsers can send. */
function overridden(request: FuzzRequest): FuzzRequest {
  const { method, body } = request
  if (method === 'POST' || body?.type === 'json' || body?.type === 'raw') return request
  const fields = [['_method', method], ...(body?.fields ?? [])] as const
  return { ...request, method: 'POST', body: { type: body?.type ?? 'form', fields } }
}

/** No body, or one where none is expected. */
const bodyless = (
  method: string,
  kind: Kind,
): fc.Arbitrary<{ value: FuzzBody | null; isRefused: boolean }> => {
  const none = fc.constant<FuzzBody | null>(null)
  const value = kind === 'broken' && method !== 'GET' ? fc.oneof(none, rawBody) : none
  return value.map(value => ({ value, isRefused: false }))
}

const rawBody: fc.Arbitrary<FuzzBody> = fc.record({
  type: fc.constant('raw' as const),
  contentType: fc.constantFrom(
    ...[
      'application/json',
      'application/json; charset=utf-16',
      'application/x-www-form-urlencoded',
      'text/plain',
      '',
    ],
    ...[
      'application/xml',
      'multipart/form-data',
      'multipart/form-data; boundary=',
      'multipart/form-data; boundary=x',
    ],
    ...['application/vnd.api+json', 'application/json, text/plain', '*/*', 'a'],
  ),
  text: fc.constantFrom(
    ...['', '{}', '[]', 'null', '1', '"a"', '{"name":1}', '\xff\xfe', '{"a":"\xff"}', '--x\r\n', '--x--\r\n'],
    ...[
      'a=1&a=2&a[]=3',
      'a[b][c]=1&a[b]=2',
      '%zz=%',
      'a'.repeat(70_000),
      `[${'['.repeat(3_000)}`,
      `{"a":${'{"a":'.repeat(40)}1${'}'.repeat(41)}`,
    ],
    ...[
      '--x\r\ncontent-disposition: form-data; name="name"\r\n\r\na\r\n--x--\r\n',
      '--x\r\ncontent-disposition: form-data; name="f"; filename="a"\r\n\r\na\r\n--x--',
    ],
    `{${Array.from({ length: 2_100 }, (_, n) => `"k${n}":1`).join(',')}}`,
  ),
  encoding: fc.constant('latin1' as const),
})

/** Headers that clients send by mistake or on purpose. */
const oddHeaders = (kind: Kind): fc.Arbitrary<Record<string, string>> =>
  kind !== 'broken'
    ? fc.constant({})
    : fc.oneof(
        { weight: 6, arbitrary: fc.constant({}) },
        {
          weight: 1,
          arbitrary: fc.constantFrom<Record<string, string>[]>(
            ...[{ accept: 'text/html' }, { accept: 'application/xml;q=x' }, { accept: '' }],
            ...[{ 'content-encoding': 'gzip' }, { 'content-encoding': 'br, gzip' }],
            ...[{ 'x-requested-with': 'XMLHttpRequest' }],
            ...[{ authorization: 'Bearer' }, { authorization: 'Bearer 1|' }, { authorization: 'Basic YTpi' }],
            ...[{ authorization: `Bearer ${'9'.repeat(30)}|x` }, { authorization: 'Bearer null' }],
            ...[{ 'if-none-match': '*' }, { range: 'bytes=0-1' }, { expect: '100-continue' }],
            ...[{ origin: 'null' }, { origin: 'http://evil.example' }, { referer: 'x' }],
            ...[
              { cookie: 'a' },
              { cookie: 'animethemes_session=%' },
              { cookie: `XSRF-TOKEN=${'x'.repeat(4_000)}` },
            ],
            ...[{ 'x-forwarded-for': 'a, b' }, { 'accept-language': '*' }, { 'x-xsrf-token': '\xff' }],
          ),
        },
      )

const two = (max: number) => fc.integer({ min: 1, max }).map(number => String(number).padStart(2, '0'))

const partialDate = fc
  .tuple(
    fc.integer({ min: 1970, max: 2099 }),
    two(12),
    two(28),
    two(23),
    two(59),
    two(59),
    fc.nat(999_999),
    fc.nat(6),
  )
  .map(([year, month, day, hour, minute, second, micro, parts]) =>
    [
      `${year}`,
      `-${month}`,
      `-${day}`,
      `T${hour}`,
      `:${minute}`,
      `:${second}`,
      `.${String(micro).padStart(6, '0')}`,
    ]
      .slice(0, parts + 1)
      .join(''),
  )
