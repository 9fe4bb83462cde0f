import fc from 'fast-check'
import t from 'tap'
import { parseForm, parseMultipartPairs } from '#src/http/form.ts'
import { MAX_JSON_VALUES, requireLimitedValues } from '#src/input/json-size.ts'
import { nestParameters, parseQueryString, splitPairs } from '#src/input/querystring.ts'
import { HttpError } from '#src/responses/errors.ts'

/** An error of this class and status. */
const BAD_REQUEST = new HttpError(400, '')

/** A simple, slow reference implementation: of query strings, whose equal names append, and of forms. */
function parseByReference(text: string, isQuery: boolean): unknown {
  const decode = (encoded: string) =>
    Buffer.from(
      encoded
        .replace(/\+/g, ' ')
        .replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
      'latin1',
    ).toString('utf8')
  const result = Object.create(null)
  const next = new Map<object, number>()
  for (const pair of text.split('&').filter(one => one !== '')) {
    const [, name = '', encoded = ''] = /^([^=]*)=?([\s\S]*)$/.exec(pair) ?? []
    const value = isQuery ? decode(encoded).trim() : decode(encoded)
    const [, first = decode(name), brackets = ''] = /^([^[]+)((?:\[[^\]]*\])+)/.exec(decode(name)) ?? []
    const path = [first, ...[...brackets.matchAll(/\[([^\]]*)\]/g)].map(match => match[1] ?? '')]
    if (path.length > 4) return 'too deep'
    let node = result
    for (const [index, part] of path.entries()) {
      const key = part === '' && index > 0 ? String(next.get(node) ?? 0) : part
      if (/^\d{1,9}$/.test(key)) next.set(node, Math.max(next.get(node) ?? 0, Number(key) + 1))
      const isLast = index === path.length - 1
      const stored = value === '' ? null : value
      const isNested = typeof node[key] === 'object' && node[key] !== null
      const isAppended = isQuery && node[key] !== undefined
      if (isLast && !isAppended) node[key] = stored
      else if (!isNested) {
        const first = isAppended ? [[0, node[key]]] : []
        node[key] = Object.assign(Object.create(null), Object.fromEntries(first))
        next.set(node[key], first.length)
      }
      node = node[key]
      if (!isLast || !isAppended) continue
      const free = next.get(node) ?? 0
      node[free] = stored
      next.set(node, free + 1)
    }
  }
  return result
}

/** Texts with many special characters, invalid UTF-8 and broken escapes. */
const anyQuery = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '&',
        '=',
        '+',
        '[',
        ']',
        '[]',
        '%',
        '%4',
        '%zz',
        '%5B',
        '%5d',
        '%26',
        '%3D',
        '%00',
        '%2B',
      ),
      fc.constantFrom('%e4%bd%a0', '%E4%BD', '%ff', '%C3%A9', '\xe9', '\xff', '\xc3\xa9', ' ', '%20', '%09'),
      fc.constantFrom('a', 'b', '0', '7', '__proto__', 'constructor', 'length'),
      fc.string({ unit: 'binary-ascii', maxLength: 3 }),
    ),
    { maxLength: 40 },
  )
  .map(parts => parts.join(''))

t.test('queries and forms are parsed like by the reference implementation (property test)', async t => {
  fc.assert(
    fc.property(anyQuery, fc.boolean(), (text, isQuery) => {
      let parsed: unknown
      try {
        parsed = isQuery ? parseQueryString(text) : nestParameters(splitPairs(text, 100))
      } catch {
        parsed = 'too deep'
      }
      t.equal(JSON.stringify(parsed), JSON.stringify(parseByReference(text, isQuery)), JSON.stringify(text))
    }),
    { numRuns: 2_000 },
  )
})

t.test('the number of values in a form is limited', async t => {
  for (const [text, count] of [
    ['a=1&'.repeat(100), 100],
    ['&'.repeat(100_000), 0],
    [`${'&&a'.repeat(100)}&`, 100],
  ] as const) {
    t.equal(typeof parseForm(text, count), 'object')
    if (count > 0) t.throws(() => parseForm(`${text}&b`, count), BAD_REQUEST)
  }
  t.throws(() => parseForm(`a${'[]'.repeat(100_000)}=1`), BAD_REQUEST)
  t.strictSame(Object.entries(parseForm(`a${'['.repeat(100_000)}=1`)), [[`a${'['.repeat(100_000)}`, '1']])
})

t.test('multipart forms', async t => {
  const read = (body: string, type = 'multipart/form-data; boundary=x') =>
    parseMultipartPairs(type, Buffer.from(body, 'latin1'))
  const part = (disposition: string, value: string, more = '') =>
    `--x\r\nContent-Disposition: ${disposition}\r\n${more}\r\n${value}\r\n`

  await t.test('multipart forms are parsed like by Response.formData()', async t => {
    const parts = ['a', 'é', '你', '"', '%', '%22', '\r\n', '--', 'x', '-', ';', '=', ' ', '\0'] as const
    const value = fc.array(fc.constantFrom(...parts, '\\', '\r', '\n')).map(texts => texts.join(''))
    // Browsers take a backslash in a name literally; other clients escape with it.
    const name = fc.array(fc.constantFrom(...parts)).map(texts => texts.join(''))
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(name, value), { maxLength: 6 }), async fields => {
        const form = new FormData()
        for (const [name, value] of fields) form.append(name, value)
        const encoded = new Response(form)
        const type = encoded.headers.get('content-type') ?? ''
        const body = Buffer.from(await encoded.arrayBuffer())
        // Browsers escape quotes and line breaks in names, and parsers do not unescape them.
        const written = (name: string) => name.replaceAll(/\r\n|\r|\n/g, '%0D%0A').replaceAll('"', '%22')
        const expected = fields.map(([name, value]) => [
          written(name),
          value.replaceAll(/\r\n|\r|\n/g, '\r\n'),
        ])
        t.strictSame(parseMultipartPairs(type, body), expected)
      }),
      { numRuns: 300 },
    )
  })

  await t.test('other valid notations are accepted', async t => {
    for (const [body, pairs] of [
      [`preamble\r\n${part('form-data; name=a', '1')}--x--epilogue`, [['a', '1']]],
      [`${part('Form-Data;  NAME = "a\\"b\\\\c"', '1')}--x--`, [['a"b\\c', '1']]],
      [`${part('form-data;\r\n name="a"', '1')}--x--`, [['a', '1']]],
      [`--x \t\r\ncontent-disposition:form-data; name="a"\r\n\r\n--x--`, [['a', '']]],
      [`${part('form-data; name="a"', '\r\n--\r\n-\r\n--y')}--x--`, [['a', '\r\n--\r\n-\r\n--y']]],
      [`${part('form-data; name="a"', '\xc3\xa9\xff')}--x--`, [['a', 'é\ufffd']]],
      [`${part('form-data; name=""', '1')}--x--`, [['', '1']]],
      ['--x--', []],
      ['', []],
    ] as const) {
      t.strictSame(read(body), pairs, JSON.stringify(body))
    }
    const quoted = read(
      `--a b\r\nContent-Disposition: form-data; name=c\r\n\r\n1\r\n--a b--`,
      'multipart/form-data; charset=utf-8; Boundary="a b"',
    )
    t.strictSame(quoted, [['c', '1']])
  })

  await t.test('parts that are no fields are ignored', async t => {
    for (const body of [
      part('form-data; name="a"; filename="b"', '1'),
      part('form-data; name="a"; filename=""', '1'),
      part("form-data; name=a; filename*=UTF-8''b", '1'),
      part('form-data; name="a"', '1', 'Content-Type: application/octet-stream\r\n'),
      part('form-data', '1'),
      part('attachment; name="a"', '1'),
      part('form-data; name="a\nb"', '1'),
      '--x\r\nX-Other: form-data; name=a\r\n\r\n1\r\n',
      '--x\r\n\r\n1\r\n',
    ]) {
      t.strictSame(read(`${body}--x--`), [], JSON.stringify(body))
    }
  })

  await t.test('a body without delimiters or with an endless head is invalid', async t => {
    const one = part('form-data; name="a"', '1')
    for (const [body, type] of [
      [one, undefined],
      [`${one}--x`, undefined],
      [`${one}--xy--`, undefined],
      ['x', undefined],
      [`--x\r\nContent-Disposition: form-data; name="a"\r\n--x--`, undefined],
      [`--x\r\nContent-Disposition: form-data; name="a"\r\n${one}--x--`, undefined],
      [`${part(`form-data; name="${'a'.repeat(9_000)}"`, '1')}--x--`, undefined],
      [`${one}--x--`, 'multipart/form-data'],
      [`${one}--x--`, 'multipart/form-data; boundary='],
      [`${one}--x--`, 'multipart/form-data; boundary=""'],
      [`--${'x'.repeat(71)}--`, `multipart/form-data; boundary=${'x'.repeat(71)}`],
    ] as const) {
      t.throws(() => read(body, type), BAD_REQUEST, JSON.stringify(body.slice(0, 80)))
    }
  })
})

t.test('a JSON text has at most 2,000 values', async t => {
  const isRefused = (text: string) => {
    try {
      requireLimitedValues(text)
      return false
    } catch {
      return true
    }
  }
  const list = (count: number) => JSON.stringify(Array(count).fill(1))
  t.equal(isRefused(list(MAX_JSON_VALUES)), false)
  t.equal(isRefused(list(MAX_JSON_VALUES + 1)), true)
  t.equal(isRefused('['.repeat(MAX_JSON_VALUES + 1)), true)
  t.equal(isRefused('{"a":'.repeat(MAX_JSON_VALUES + 1)), true)
  const names = Object.fromEntries(Array.from({ length: MAX_JSON_VALUES + 1 }, (_, n) => [`a${n}`, 1]))
  t.equal(isRefused(JSON.stringify(names)), true)
  for (const text of [',', '[', '{', '\\"', '\\\\', '",'.replace('"', '\\"')]) {
    t.equal(
      isRefused(JSON.stringify({ a: text.repeat(5_000) })),
      false,
      `${text} within a string does not count`,
    )
  }
  t.equal(isRefused(`{"a":"\\\\",${'1,'.repeat(2_000)}`), true, 'a string ends after an escaped backslash')
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 50 }), text => {
      t.equal(isRefused(`[${JSON.stringify(text)}${',1'.repeat(MAX_JSON_VALUES - 1)}]`), false)
      t.equal(isRefused(`[${JSON.stringify(text)}${',1'.repeat(MAX_JSON_VALUES)}]`), true)
    }),
    { numRuns: 100 },
  )
})
