import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { type Json, operationsOf, resolvePart } from '../fixtures/openapi.ts'

/** The statuses of `default`, as its description lists them. */
const OTHER_STATUSES: ReadonlySet<number> = new Set([400, 408, 413, 414, 415, 431, 500, 503])

/** Headers of HTTP and of browsers' security, which a document of the API does not repeat for each response. */
const GENERAL_HEADERS: ReadonlySet<string> = new Set([
  ...['allow', 'connection', 'content-disposition', 'content-encoding', 'content-length', 'content-type'],
  ...['date', 'keep-alive', 'transfer-encoding'],
  ...['content-security-policy', 'cross-origin-opener-policy', 'cross-origin-resource-policy'],
  ...['origin-agent-cluster', 'permissions-policy', 'referrer-policy', 'strict-transport-security'],
  ...['vary', 'x-content-type-options', 'x-dns-prefetch-control', 'x-download-options', 'x-frame-options'],
  ...['x-permitted-cross-domain-policies', 'x-robots-tag', 'x-xss-protection'],
  ...['access-control-allow-credentials', 'access-control-allow-headers', 'access-control-allow-methods'],
  ...['access-control-allow-origin', 'access-control-expose-headers', 'access-control-max-age'],
  'set-cookie',
])

/** An answer to a documented operation. */
export interface DocumentedAnswer {
  status: number
  /** Names in lower case. */
  headers: Readonly<Record<string, unknown>>
  /** Undefined where the request's method, HEAD, allows none. */
  body: unknown
  /** Of the request, with its query string. */
  url: string
}

/** An OpenAPI document with its compiled schemas, for comparing answers with it. */
export class CompiledDocument {
  readonly operations = new Map<string, Json>()
  readonly #document: Json
  readonly #validators = new Map<string, ValidateFunction>()

  constructor(document: Json) {
    this.#document = document
    for (const { operation } of operationsOf(document)) this.operations.set(operation.operationId, operation)
  }

  /** What of an answer is not as the document says, a sentence each. */
  faultsOf(operationId: string, { status, headers, body, url }: DocumentedAnswer): string[] {
    const { responses } = this.operations.get(operationId)
    const response = this.resolve(
      responses[status] ?? (OTHER_STATUSES.has(status) ? responses.default : undefined),
    )
    if (response === undefined) return ['the status is not declared']
    return [
      ...headerFaults(this, response.headers, headers),
      ...bodyFaults(this, response.content, {
        type: String(headers['content-type'] ?? ''),
        body,
        isSparse: /[?&]fields(\[|%5B)/i.test(url),
      }),
    ]
  }

  /** The part that an object stands for, if it is a reference. */
  resolve(part: Json): Json {
    return resolvePart(this.#document, part)
  }

  /**
   * Compares a body with a schema.
   *
   * @param isSparse whether the request named the fields, so that default ones may be missing
   * @returns what is wrong; null if nothing is
   */
  faultOfBody(schema: Json, body: unknown, isSparse: boolean): string | null {
    const key = `${isSparse} ${JSON.stringify(schema)}`
    const validate = this.#validators.get(key) ?? this.#compile(schema, isSparse)
    this.#validators.set(key, validate)
    return validate(body) ? null : JSON.stringify(validate.errors)
  }

  #compile(schema: Json, isSparse: boolean): ValidateFunction {
    const ajv = new Ajv2020({ strict: false, allErrors: false, formats: { 'date-time': DATE_TIME } })
    const { schemas, parameters } = this.#document.components
    const components = Object.entries<Json>(schemas).map(([name, component]) => {
      const { required: _required, ...optional } = component
      const hasFields = `fields.${name}` in parameters
      return [name, isSparse && hasFields ? optional : component]
    })
    return ajv.compile({ ...schema, components: { schemas: Object.fromEntries(components) } })
  }
}

/** RFC 3339, and with a sign for the years that it cannot express, which only other programs write. */
const DATE_TIME = /^([+-]\d{6}|\d{4})-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/

function headerFaults(
  document: CompiledDocument,
  declared: Json,
  sent: Readonly<Record<string, unknown>>,
): string[] {
  const known = new Map(
    Object.entries<Json>(declared ?? {}).map(([name, one]) => [name.toLowerCase(), document.resolve(one)]),
  )
  const missing = [...known].filter(([name, { required }]) => required && sent[name] === undefined)
  const undeclared = Object.keys(sent).filter(name => !known.has(name) && !GENERAL_HEADERS.has(name))
  const wrong = [...known].filter(
    ([name, { schema }]) =>
      sent[name] !== undefined && schema.type === 'integer' && !/^\d+$/.test(String(sent[name])),
  )
  return [
    ...missing.map(([name]) => `the header ${name} is missing`),
    ...undeclared.map(name => `the header ${name} is not declared`),
    ...wrong.map(([name]) => `the header ${name} is ${sent[name]}`),
  ]
}

function bodyFaults(
  document: CompiledDocument,
  content: Json,
  { type, body, isSparse }: { type: string; body: unknown; isSparse: boolean },
): string[] {
  // Fastify drops what a handler sends with 204.
  const hasBody = body !== undefined && body !== null && body !== '' && body !== 'null'
  if (content === undefined) return hasBody ? ['a body is not declared'] : []
  const [mediaType = ''] = type.split(';')
  const declared = content[mediaType]
  if (declared === undefined) return [`the content type ${type} is not declared`]
  if (mediaType !== 'application/json' || typeof body !== 'string') return []
  const fault = document.faultOfBody(declared.schema, JSON.parse(body), isSparse)
  return fault === null ? [] : [`${fault} in ${body.slice(0, 300)}`]
}
