import fc from 'fast-check'
import t from 'tap'
import type { Answer, Outcome } from './chaos/http.ts'
import { formsOf, linksOf } from './fuzz/forms.ts'
import { Generator } from './fuzz/generate.ts'
import { faultOf, faultOfPage } from './fuzz/judge.ts'
import type { CallerKind } from './fuzz/people.ts'
import { callOf, curlOf, type FuzzRequest, named } from './fuzz/request.ts'
import { CompiledDocument } from './support/compiled-document.ts'

const message = {
  content: {
    'application/json': {
      schema: { type: 'object', required: ['message'], properties: { message: { type: 'string' } } },
    },
  },
}
const responses = {
  200: { content: { 'application/json': { schema: { type: 'object' } } } },
  419: message,
  422: message,
  403: message,
  default: { ...message, headers: { 'Retry-After': { schema: { type: 'integer' } } } },
}
const description = {
  security: [{ token: [] }, { session: [] }],
  paths: {
    '/things/{thing}': {
      put: {
        operationId: 'thing.update',
        responses,
        requestBody: {
          content: {
            'application/json': {
              schema: {
                type: 'object',
                required: ['name'],
                properties: { name: { type: 'string', maxLength: 5 }, count: { type: 'integer' } },
              },
            },
          },
        },
      },
    },
    '/things': {
      get: {
        operationId: 'thing.index',
        responses,
        parameters: [
          {
            name: 'sort',
            in: 'query',
            schema: { type: 'array', uniqueItems: true, items: { type: 'string', enum: ['a', 'b'] } },
          },
          { name: 'page', in: 'query', schema: { type: 'integer', minimum: 1, maximum: 3 } },
        ],
      },
    },
  },
  components: { schemas: {}, parameters: {} },
}
const document = new CompiledDocument(description)

const UPDATE: FuzzRequest = {
  operationId: 'thing.update',
  kind: 'valid',
  expectation: 'any',
  method: 'PUT',
  path: ['/things/', { name: 'thing', owner: 'own', pick: '0' }],
  query: [],
  rawQuery: '',
  headers: {},
  body: null,
  isForged: false,
}

const answer = (status: number, json: object, headers: Record<string, string> = {}): Answer => ({
  kind: 'answer',
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(json),
  json: json as Record<string, unknown>,
  ms: 1,
})

const refusal = answer(422, { message: 'x' })
const done = answer(200, {})
const others = { path: ['/things/', { name: 'thing', owner: 'other', pick: '0' }] } as const

const JUDGEMENTS: Record<string, [Partial<FuzzRequest>, CallerKind, Outcome, RegExp | null]> = {
  'what is documented': [{}, 'token', done, null],
  'no answer': [{}, 'token', { kind: 'reset', error: 'x', ms: 1 }, /no answer/],
  'a server error': [{}, 'token', answer(500, { message: 'Server Error' }), /a server error/],
  'a 503 that says when to come again': [
    {},
    'token',
    answer(503, { message: 'x' }, { 'retry-after': '1' }),
    null,
  ],
  'a 503 that does not': [{}, 'token', answer(503, { message: 'x' }), /a server error/],
  'an undocumented status': [{}, 'token', answer(418, { message: 'x' }), /status is not declared/],
  'internals in an error': [
    {},
    'token',
    answer(422, { message: 'relation "users" does not exist' }),
    /internals/,
  ],
  'a change by a guest': [{}, 'guest', done, /a guest may do it/],
  'a change by another site': [{ isForged: true }, 'session', done, /another site/],
  'a token on another site': [{ isForged: true }, 'token', done, null],
  "a change of another user's row": [others, 'token', done, /another user/],
  "a change of another user's row by staff": [others, 'staff token', done, null],
  'a forbidden body that is accepted': [{ expectation: 'refused' }, 'token', done, /document forbids/],
  'a forbidden body': [{ expectation: 'refused' }, 'token', refusal, null],
  'an allowed body that is refused': [{ expectation: 'accepted' }, 'token', refusal, /document allows/],
  'an allowed body without a permission': [
    { expectation: 'accepted' },
    'token',
    answer(403, { message: 'x' }),
    null,
  ],
  'a body in answer to HEAD': [{ method: 'HEAD' }, 'token', done, /HEAD/],
}

t.test('answers are judged', async t => {
  for (const [name, [request, caller, outcome, fault]] of Object.entries(JUDGEMENTS)) {
    const found = faultOf(document, { ...UPDATE, ...request }, caller, '/things/1', outcome)
    if (fault === null) t.equal(found, null, name)
    else t.match(found, fault, name)
  }
})

t.test('pages are judged', async t => {
  const html = { 'content-type': 'text/html', 'content-security-policy': "script-src 'self'" }
  const page = (status: number, body: string, headers: Record<string, string> = {}): Outcome => ({
    ...answer(status, {}),
    headers: { ...html, ...headers },
    body,
  })
  t.equal(faultOfPage(page(200, '<p>&lt;fuzz')), null)
  t.match(faultOfPage(page(200, '<p><fuzz"')), /as HTML/)
  t.match(faultOfPage(page(500, 'x')), /status is 500/)
  t.match(faultOfPage(page(200, 'x', { 'content-type': 'text/plain' })), /text\/plain/)
  t.match(faultOfPage(page(200, 'x', { 'content-security-policy': "script-src 'unsafe-inline'" })), /policy/)
  t.equal(faultOfPage(page(303, '', { location: '/admin' })), null)
  for (const location of ['//evil.example', 'http://evil.example/', '']) {
    t.match(faultOfPage(page(303, '', { location })), /leads to/, location)
  }
})

t.test('requests are made from the document', async t => {
  const names = { valueOf: () => 'mine', idOf: () => 'a/b' }
  const requests = fc.sample(new Generator(description).requests, { numRuns: 600, seed: 1 })
  const valid = requests.filter(({ kind }) => kind === 'valid')
  for (const request of valid) {
    const { method, path, body } = callOf(request, names)
    const url = new URL(path, 'http://server.test')
    if (request.operationId === 'thing.index') {
      const { sort, page } = Object.fromEntries(url.searchParams)
      if (sort !== undefined) t.match(sort, /^(a|b|a,b|b,a)$/)
      if (page !== undefined) t.match(page, /^[123]$/)
    } else {
      t.equal(url.pathname, '/things/a%2Fb')
      t.ok(['PUT', 'POST'].includes(String(method)))
      t.match(String(body), /mine/, 'the name is there')
    }
  }
  for (const kind of ['valid', 'boundary', 'broken'] as const) {
    t.ok(requests.filter(request => request.kind === kind).length > 100, kind)
  }
  const forbidden = requests.filter(({ expectation }) => expectation === 'refused')
  t.ok(forbidden.length > 20)
  for (const { body } of forbidden) {
    if (body === null || body.type === 'raw') continue
    const fields = Object.fromEntries(body.fields)
    t.ok(!('name' in fields) || typeof fields.name === 'object', 'the name is missing, or no text')
  }
  const same = fc.sample(new Generator(description).requests, { numRuns: 600, seed: 1 })
  t.strictSame(same, requests, 'a seed makes the same requests again')
})

t.test('a request becomes a curl command', async t => {
  const names = { valueOf: (name: string) => `<${name}>`, idOf: () => 'x' }
  const request: FuzzRequest = {
    ...UPDATE,
    query: [['a[b]', "it's"]],
    body: {
      type: 'form',
      fields: [
        ['name', named('password')],
        ['list', ['a', 'b']],
        ['none', null],
      ],
    },
  }
  t.equal(
    curlOf('http://server.test', callOf(request, names), ['-H "Authorization: Bearer $TOKEN"']),
    `curl -gi -X PUT 'http://server.test/things/x?a%5Bb%5D=it'\\''s' -H "Authorization: Bearer $TOKEN" -H 'content-type: application/x-www-form-urlencoded' --data-binary 'name=%3Cpassword%3E&list%5B%5D=a&list%5B%5D=b&none='`,
  )
  const binary = callOf(
    { ...UPDATE, body: { type: 'raw', contentType: 'a', text: "\xff'", encoding: 'latin1' } },
    names,
  )
  t.match(curlOf('', binary, []), `--data-binary $'\\xff\\x27'`)
})

t.test('forms of a page are read', async t => {
  const html = `<a href="/admin/a?b=1&amp;c=2#d">x</a><a href="https://other.test">y</a>
    <form method="post" action="/admin/x"><input type="hidden" name="_token" value="&lt;t&gt;">
    <input type="checkbox" name="on" checked><input type="submit"><textarea name="text">a &amp; b</textarea>
    <select name="role"><option value="1">One</option><option value="2">Two</option></select>
    <button name="confirmed" value="1">Yes</button></form>`
  const field = (name: string, value: string, more: object = {}) => ({
    name,
    value,
    choices: [],
    isHidden: false,
    ...more,
  })
  t.strictSame(formsOf(html), [
    {
      method: 'POST',
      action: '/admin/x',
      fields: [
        field('_token', '<t>', { isHidden: true }),
        field('on', 'on'),
        field('text', 'a & b'),
        field('role', '1', { choices: ['1', '2'] }),
        field('confirmed', '1'),
      ],
    },
  ])
  t.strictSame(linksOf(html), ['/admin/a?b=1&c=2'])
})
