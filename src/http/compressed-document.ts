import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { HttpError } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { lazy } from '#src/runtime/lazy.ts'

/** The content codings of a document (RFC 9110 §8.4.1), smallest output first. */
const CODINGS = ['br', 'gzip', 'identity'] as const
type Coding = (typeof CODINGS)[number]

/** For the OpenAPI document within 1% of the size at quality 11, in an eighth of the time. */
const BROTLI_QUALITY = 9

interface Variant {
  body: Buffer
  /** A strong validator (RFC 9110 §8.8.3), different for each coding. */
  etag: string
}

/** A text that never changes while the process runs, and is the same for every client. */
export interface CompressedDocument {
  /** Renders and compresses the text, once. Compression runs on libuv's thread pool. */
  prepare(): Promise<void>
  /**
   * Responds to `GET` and `HEAD` in the coding that the client prefers, or with 304 if its copy is current.
   *
   * @param options.cacheControl the Cache-Control header: `no-cache` by default
   */
  send(
    request: FastifyRequest,
    reply: FastifyReply,
    options?: { cacheControl?: string },
  ): Promise<FastifyReply>
}

/** A content in the codings other than `identity`. */
type Compressed = Record<Exclude<Coding, 'identity'>, Buffer>

/**
 * Creates a document that is rendered and compressed once, not for each request.
 *
 * @param document.type the media type
 * @param document.render returns the content; called once
 * @param document.compress compresses it; called once
 */
export function createCompressedDocument({
  type,
  render,
  compress = compressText,
}: {
  type: string
  render: () => string | Buffer | Promise<string | Buffer>
  compress?: (body: Buffer) => Promise<Compressed>
}): CompressedDocument {
  const variants = new Map<Coding, Variant>()

  const add = (coding: Coding, body: Buffer) => {
    const digest = createHash('sha256').update(body).digest('base64url').slice(0, 22)
    variants.set(coding, { body, etag: `"${digest}"` })
  }
  const identityVariant = lazy(async () => {
    add('identity', Buffer.from(await render()))
    return variants.get('identity') as Variant
  })
  const prepare = lazy(async () => {
    const { br, gzip } = await compress((await identityVariant()).body)
    add('br', br)
    add('gzip', gzip)
  })

  return {
    prepare,
    async send(request, reply, { cacheControl = 'no-cache' } = {}) {
      const accepted = parseAcceptEncoding(request.headers['accept-encoding'])
      // A failed compression is reported to the caller of prepare(). Here the uncompressed text is sent.
      if (accepted[0] !== 'identity') await prepare().catch(() => {})
      const [coding] = accepted.filter(one => one === 'identity' || variants.has(one))
      if (coding === undefined) throw new HttpError(406, MESSAGES.notAcceptable)
      const { body, etag } = variants.get(coding) ?? (await identityVariant())

      reply.headers({ etag, 'cache-control': cacheControl, vary: 'Origin, Accept-Encoding' })
      if (matchesEtag(request.headers['if-none-match'], etag)) return reply.code(304).send()
      if (coding !== 'identity') reply.header('content-encoding', coding)
      return reply.type(type).send(body)
    },
  }
}

async function compressText(body: Buffer): Promise<Compressed> {
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY,
    [constants.BROTLI_PARAM_SIZE_HINT]: body.length,
  }
  const [br, zipped] = await Promise.all([
    promisify(brotliCompress)(body, { params }),
    promisify(gzip)(body, { level: 9 }),
  ])
  return { br, gzip: zipped }
}

/**
 * Returns the codings that a client accepts, preferred ones first (RFC 9110 §12.5.3). Among equal weights the smallest
 * output comes first. Without the header only `identity` is accepted.
 */
export function parseAcceptEncoding(header: string | undefined): Coding[] {
  if (header === undefined) return ['identity']
  const weights = new Map(
    header.split(',').map(item => {
      const [name = '', ...parameters] = item.split(';').map(part => part.trim().toLowerCase())
      const q = parameters.find(parameter => parameter.startsWith('q='))?.slice(2)
      return [name === 'x-gzip' ? 'gzip' : name, q === undefined ? 1 : Number(q)]
    }),
  )
  // Codings that are not listed have the weight of `*`. `identity` is acceptable unless excluded, with the lowest weight.
  const weightOf = (coding: Coding) =>
    weights.get(coding) ?? weights.get('*') ?? (coding === 'identity' ? Number.MIN_VALUE : 0)
  return CODINGS.filter(coding => weightOf(coding) > 0).sort((a, b) => weightOf(b) - weightOf(a))
}

/** Whether `If-None-Match` lists an ETag, by weak comparison (RFC 9110 §13.1.2). */
const matchesEtag = (header: string | undefined, etag: string): boolean =>
  (header ?? '').split(',').some(item => {
    const validator = item.trim()
    return validator === '*' || validator.replace(/^W\//, '') === etag
  })
