import type { IncomingMessage, RequestListener } from 'node:http'
import { FORM_TYPES, urlencoded } from './form.ts'

/** What a form may ask for in the place of POST. Anything else it says is ignored. */
const METHODS = new Set(['PUT', 'PATCH', 'DELETE'])

/** The largest form that is asked for a method, in bytes: it is read before it is known who sends it. */
const FORM_LIMIT_BYTES = 65_536

const forms = new WeakMap<IncomingMessage, Buffer>()

/** The body of a request that was read already; undefined for all others. */
export const readBody = (request: IncomingMessage): Buffer | undefined => forms.get(request)

/**
 * Lets a `POST` be a `PUT`, `PATCH` or `DELETE`, as Laravel does for forms, which can do no other: by the header
 * `X-HTTP-Method-Override`, else by the form's field `_method`. Routing goes by the method, and so this comes before
 * it. What a `POST` becomes changes something as well, and is held to the same proofs.
 */
export const withMethodOverride =
  (handle: RequestListener): RequestListener =>
  (request, response) => {
    if (request.method !== 'POST') return handle(request, response)
    const header = request.headers['x-http-method-override']
    if (header !== undefined) {
      override(request, header)
      return handle(request, response)
    }
    const length = Number(request.headers['content-length'] ?? 0)
    if (!(length > 0 && length <= FORM_LIMIT_BYTES) || typeOf(request) === null) {
      return handle(request, response)
    }
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    // It has no end if the client hangs up, who gets no answer then.
    request.once('end', async () => {
      const body = Buffer.concat(chunks)
      forms.set(request, body)
      override(request, await methodOf(request, body))
      handle(request, response)
    })
  }

function override(request: IncomingMessage, method: string | string[] | undefined) {
  if (typeof method === 'string' && METHODS.has(method.toUpperCase())) request.method = method.toUpperCase()
}

function typeOf({ headers }: IncomingMessage) {
  const type = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase()
  return Object.values(FORM_TYPES).find(formType => formType === type) ?? null
}

/** The last of the fields that are named so, as PHP has it. No other is looked at, however many there are. */
async function methodOf(request: IncomingMessage, body: Buffer): Promise<string | undefined> {
  try {
    const text =
      typeOf(request) === FORM_TYPES.urlencoded
        ? body.toString('latin1')
        : await urlencoded(request.headers['content-type'] ?? '', body)
    return new URLSearchParams(text).getAll('_method').at(-1)
  } catch {
    // Whoever reads it as a body says what is wrong with it.
    return undefined
  }
}
