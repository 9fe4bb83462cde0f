import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { HttpError } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'

/** The content codings that a document comes in (RFC 9110 §8.4.1), the smallest first. */
const CODINGS = ['br', 'gzip', 'identity'] as const
type Coding = (typeof CODINGS)[number]

/** Within a percent of the best that brotli does for the specification, in an eighth of the time. */
const BROTLI_QUALITY = 9

interface Variant {
  body: Buffer
  /** A strong validator (RFC 9110 §8.8.3): each coding has its own. */
  etag: string
}

/** A text that is the same for everybody as long as the process runs. */
export interface CompressedDocument {
  /** Makes and compresses the text, unless that was done. Compression takes place on other threads. */
  prepare(): Promise<void>
  /** Answers a `GET` or `HEAD`: in the coding that the client prefers, or by 304 if it has that already. */
  send(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply>
}

/**
 * Makes a text once, and compresses it once, instead of with each request. Until it is compressed it is sent as it is.
 *
 * @param document.type the media type
 * @param document.make returns the text; called once
 */
export function compressedDocument({ type, make }: { type: string; make: () => string }): CompressedDocument {
  const variants = new Map<Coding, Variant>()
  let preparing: Promise<void> | undefined

  const add = (coding: Coding, body: Buffer) => {
    const digest = createHash('sha256').update(body).digest('base64url').slice(0, 22)
    variants.set(coding, { body, etag: `"${digest}"` })
  }
  const plain = () => {
    if (!variants.has('identity')) add('identity', Buffer.from(make()))
    return variants.get('identity') as Variant
  }
  const compress = async () => {
    const { body } = plain()
    const params = {
      [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: body.length,
    }
    const [br, zipped] = await Promise.all([
      promisify(brotliCompress)(body, { params }),
      promisify(gzip)(body, { level: 9 }),
    ])
    add('br', br)
    add('gzip', zipped)
  }
  const prepare = () => {
    preparing ??= compress()
    return preparing
  }

  return {
    prepare,
    async send(request, reply) {
      const accepted = acceptedCodings(request.headers['accept-encoding'])
      // The error is one of the server itself, and is told where somebody waits for it.
      const isReady = prepare().catch(() => {})
      if (!accepted.includes('identity')) await isReady
      const [coding] = accepted.filter(one => one === 'identity' || variants.has(one))
      if (coding === undefined) throw new HttpError(406, MESSAGES.notAcceptable)
      const { body, etag } = variants.get(coding) ?? plain()

      const vary = reply.getHeader('vary')
      reply.headers({
        etag,
        'cache-control': 'no-cache',
        vary: vary === undefined ? 'Accept-Encoding' : `${vary}, Accept-Encoding`,
      })
      if (hasMatch(request.headers['if-none-match'], etag)) return reply.code(304).send()
      if (coding !== 'identity') reply.header('content-encoding', coding)
      return reply.type(type).send(body)
    },
  }
}

/**
 * The codings that a client accepts, the one that it prefers first (RFC 9110 §12.5.3). Of those that it likes equally
 * the smallest comes first. Without the header it gets the text as it is.
 */
export function acceptedCodings(header: string | undefined): Coding[] {
  if (header === undefined) return ['identity']
  const weights = new Map(
    header.split(',').map(item => {
      const [name = '', ...parameters] = item.split(';').map(part => part.trim().toLowerCase())
      const q = parameters.find(parameter => parameter.startsWith('q='))?.slice(2)
      return [name === 'x-gzip' ? 'gzip' : name, q === undefined ? 1 : Number(q)]
    }),
  )
  /** What is not named is as good as `*`. The text as it is is accepted without being named, but preferred to nothing. */
  const weightOf = (coding: Coding) =>
    weights.get(coding) ?? weights.get('*') ?? (coding === 'identity' ? Number.MIN_VALUE : 0)
  return CODINGS.filter(coding => weightOf(coding) > 0).sort((a, b) => weightOf(b) - weightOf(a))
}

/** Whether one of the validators in `If-None-Match` is an ETag's, compared weakly (RFC 9110 §13.1.2). */
const hasMatch = (header: string | undefined, etag: string): boolean =>
  (header ?? '').split(',').some(item => {
    const validator = item.trim()
    return validator === '*' || validator.replace(/^W\//, '') === etag
  })
