import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import t from 'tap'
import { createCompressedDocument, parseAcceptEncoding } from '#src/http/compressed-document.ts'
import { startApp } from '../../support/app.ts'
import { createDatabase } from '../../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

const DOCUMENTS = [
  ['/openapi.json', /^application\/json/],
  ['/docs/json', /^application\/json/],
  ['/docs/yaml', /^application\/x-yaml/],
] as const

const DECODERS = { br: brotliDecompressSync, gzip: gunzipSync } as const

t.test('compression and caching of the OpenAPI document', async t => {
  const app = await startApp(t, { database })
  /** Returns the bytes as sent; `fetch` would negotiate and undo the compression. */
  const request = async (
    url: string,
    headers: Record<string, string> = {},
    method: 'GET' | 'HEAD' = 'GET',
  ) => {
    const { statusCode, headers: answered, rawPayload } = await app.inject({ method, url, headers })
    return { status: statusCode, headers: answered, bytes: rawPayload }
  }
  /** Waits for the compression by demanding it, and then requests it. */
  const requestCompressed = async (url: string, coding: string) => {
    await request(url, { 'accept-encoding': `${coding}, identity;q=0` })
    return request(url, { 'accept-encoding': coding })
  }

  for (const [url, type] of DOCUMENTS) {
    await t.test(`${url} is compressed as negotiated, and a matching ETag is 304`, async t => {
      const plain = await request(url)
      t.equal(plain.status, 200)
      t.match(plain.headers['content-type'], type)
      t.equal(plain.headers['content-encoding'], undefined)
      t.equal(plain.headers['cache-control'], 'no-cache')
      t.ok(plain.bytes.length > 150_000)
      const etags = new Set([plain.headers.etag])

      for (const coding of ['br', 'gzip'] as const) {
        const compressed = await requestCompressed(url, coding)
        t.equal(compressed.headers['content-encoding'], coding)
        t.equal(compressed.headers.vary, 'Origin, Accept-Encoding')
        t.match(compressed.headers['content-type'], type)
        t.ok(compressed.bytes.length < 60_000)
        t.ok(DECODERS[coding](compressed.bytes).equals(plain.bytes), 'the decoded text is the same')
        etags.add(compressed.headers.etag)

        const head = await request(url, { 'accept-encoding': coding }, 'HEAD')
        t.equal(head.status, 200)
        t.equal(head.bytes.length, 0)
        t.match(head.headers, { etag: compressed.headers.etag, 'content-encoding': coding })
        t.equal(Number(head.headers['content-length']), compressed.bytes.length)

        const tag = String(compressed.headers.etag)
        for (const validator of [tag, `W/${tag}`, `"x", ${tag}`, '*']) {
          const unchanged = await request(url, { 'accept-encoding': coding, 'if-none-match': validator })
          t.equal(unchanged.status, 304, validator)
          t.equal(unchanged.bytes.length, 0)
          t.match(unchanged.headers, {
            etag: tag,
            vary: 'Origin, Accept-Encoding',
            'cache-control': 'no-cache',
          })
        }
        for (const validator of [
          '"x"',
          String(plain.headers.etag),
          tag.slice(0, -2),
          tag.replaceAll('"', ''),
        ]) {
          t.equal((await request(url, { 'accept-encoding': coding, 'if-none-match': validator })).status, 200)
        }
      }
      t.equal(etags.size, 3, 'each coding has its own ETag')
      for (const etag of etags) t.match(etag, /^"[\w-]{22}"$/, 'the ETag is strong')
    })
  }

  await t.test('a refused coding is not used, and 406 without an acceptable one', async t => {
    for (const header of [
      'identity',
      '',
      'deflate',
      'br;q=0, gzip;q=0.0',
      '*;q=0, identity',
      'identity, br;q=0.5',
    ]) {
      const answer = await request('/openapi.json', { 'accept-encoding': header })
      t.equal(answer.status, 200, header)
      t.equal(answer.headers['content-encoding'], undefined, header)
    }
    for (const header of ['identity;q=0', '*;q=0', 'deflate, identity;q=0']) {
      const refused = await request('/openapi.json', { 'accept-encoding': header })
      t.equal(refused.status, 406, header)
      t.match(JSON.parse(String(refused.bytes)).message, /content codings/)
    }
  })
})

t.test('codings are ordered by the preference of the client', async t => {
  for (const [header, codings] of [
    [undefined, ['identity']],
    ['', ['identity']],
    ['gzip', ['gzip', 'identity']],
    ['gzip, deflate, br', ['br', 'gzip', 'identity']],
    ['GZIP;Q=1, br;q=0.5', ['gzip', 'br', 'identity']],
    ['x-gzip', ['gzip', 'identity']],
    ['*', ['br', 'gzip', 'identity']],
    ['*;q=0.5, gzip', ['gzip', 'br', 'identity']],
    ['*;q=0', []],
    ['*;q=0, gzip', ['gzip']],
    ['identity;q=0, br ; q=0.1', ['br']],
    ['identity;q=1, br;q=0.5', ['identity', 'br']],
    ['br;q=x, gzip;q=0.001', ['gzip', 'identity']],
  ] as const) {
    t.strictSame(parseAcceptEncoding(header), codings, String(header))
  }
})

t.test('concurrent first requests generate the document once', async t => {
  const app = await startApp(t, { database })
  const [one, other, ...answers] = await Promise.all([
    app.specification.document(),
    app.specification.document(),
    ...['/openapi.json', '/docs/json', '/openapi.json', '/docs/json', '/docs/yaml'].map(url =>
      app.inject({ url, headers: { 'accept-encoding': 'br, identity;q=0' } }),
    ),
  ])
  t.equal(one, other)
  for (const { statusCode, headers } of answers) {
    t.strictSame([statusCode, headers['content-encoding']], [200, 'br'])
  }
  t.equal(answers[0]?.headers.etag, answers[2]?.headers.etag)
  t.equal(await app.specification.document(), one)
})

t.test('prepare() generates and compresses a document once', async t => {
  let made = 0
  const document = createCompressedDocument({ type: 'text/plain', render: () => `made ${++made}` })
  const first = document.prepare()
  t.equal(document.prepare(), first)
  await first
  t.equal(document.prepare(), first)
  t.equal(made, 1)
})
