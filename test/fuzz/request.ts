import type { Call } from '../chaos/http.ts'

/** What must come of a request, for every caller. */
export type Expectation =
  /** As the document allows: its form is not refused. */
  | 'accepted'
  /** As the document forbids: the status is 400 or above. */
  | 'refused'
  | 'any'

/** Kinds of requests. */
export const KINDS = ['valid', 'boundary', 'broken'] as const
export type Kind = (typeof KINDS)[number]

/** A generated request. Its values may stand for ids and secrets of the caller: see {@link Names}. */
export interface FuzzRequest {
  operationId: string
  kind: Kind
  expectation: Expectation
  method: string
  /** The path with its values, and names and values of the query, all encoded when it is sent unless they are raw. */
  path: readonly (string | PathValue)[]
  query: readonly (readonly [string, string])[]
  /** Appended to the query without encoding. */
  rawQuery: string
  headers: Readonly<Record<string, string>>
  body: FuzzBody | null
  /** For sessions: sent without proof that a page of a first party made it. */
  isForged: boolean
}

/** An id in a path: of a row of the caller, of another user, or of no row. */
export interface PathValue {
  name: string
  owner: 'own' | 'other' | 'none'
  /** Which of the rows; without an owner, the value. */
  pick: string
}

export type FuzzBody =
  | { type: 'json' | 'form' | 'multipart'; fields: readonly (readonly [string, unknown])[] }
  | { type: 'raw'; contentType: string; text: string; encoding: 'utf8' | 'latin1' }

/** The values of a caller. */
export interface Names {
  /** The value of a name such as `password` or `track:2`; undefined if it stands for nothing. */
  valueOf(name: string): string | number | undefined
  /** The id for a path. */
  idOf(value: PathValue): string
}

const MARK = '\u0001'
const BOUNDARY = 'fuzz-boundary'

/** A value that stands for one of the caller's. */
export const named = (name: string): string => `${MARK}${name}`

const resolve = (value: unknown, names: Names): unknown => {
  if (typeof value === 'string') {
    return value.startsWith(MARK) ? (names.valueOf(value.slice(1)) ?? value.slice(1)) : value
  }
  return Array.isArray(value) ? value.map(item => resolve(item, names)) : value
}

/** The request as it is sent. */
export function callOf(request: FuzzRequest, names: Names): Call {
  const path = request.path
    .map(part => (typeof part === 'string' ? part : encodeURIComponent(toWellFormed(names.idOf(part)))))
    .join('')
  const query = request.query.map(pair =>
    pair.map(part => encodeURIComponent(toWellFormed(String(resolve(part, names))))).join('='),
  )
  const suffix = [...query, request.rawQuery].filter(part => part !== '').join('&')
  const { method, body, headers } = request
  const target = `${path}${suffix && `?${suffix}`}`
  if (body === null) return { method, path: target, headers: { ...headers } }
  const { contentType, bytes } = bytesOf(body, names)
  return { method, path: target, body: bytes, headers: { 'content-type': contentType, ...headers } }
}

/** Lone surrogates cannot be encoded. */
const toWellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, '\ufffd')

function bytesOf(body: FuzzBody, names: Names): { contentType: string; bytes: Buffer } {
  if (body.type === 'raw') {
    return { contentType: body.contentType, bytes: Buffer.from(body.text, body.encoding) }
  }
  const fields = body.fields.map(([name, value]) => [name, resolve(value, names)] as const)
  if (body.type === 'json') {
    // Not an object of JavaScript, which has a name once and `__proto__` not at all.
    const members = fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
    return { contentType: 'application/json', bytes: Buffer.from(`{${members.join(',')}}`) }
  }
  const pairs = fields.flatMap(([name, value]) => pairsOf(name, value))
  if (body.type === 'form') {
    return {
      contentType: 'application/x-www-form-urlencoded',
      bytes: Buffer.from(String(new URLSearchParams(pairs))),
    }
  }
  const parts = pairs.map(
    ([name, value]) =>
      `--${BOUNDARY}\r\ncontent-disposition: form-data; name="${name.replace(/["\r\n]/g, encodeURIComponent)}"\r\n\r\n${value}\r\n`,
  )
  return {
    contentType: `multipart/form-data; boundary=${BOUNDARY}`,
    bytes: Buffer.from(`${parts.join('')}--${BOUNDARY}--\r\n`),
  }
}

/** A field of a form, with PHP's brackets. */
function pairsOf(name: string, value: unknown): [string, string][] {
  if (Array.isArray(value)) return value.flatMap(item => pairsOf(`${name}[]`, item))
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([key, item]) => pairsOf(`${name}[${key}]`, item))
  }
  return [[name, value === null ? '' : String(value)]]
}

/** The most characters of a body in a curl command. */
const MAX_SHOWN = 1_500

/** The curl command that sends a call, with `$TOKEN` and the like in place of credentials. */
export function curlOf(
  base: string,
  { method = 'GET', path, headers = {}, body }: Call,
  credentials: string[],
) {
  const shownHeaders = Object.entries(headers).map(([name, value]) => `-H ${quote(`${name}: ${value}`)}`)
  const text = body?.toString('latin1')
  const shownBody =
    text === undefined
      ? []
      : [
          `--data-binary ${quote(text.slice(0, MAX_SHOWN))}${text.length > MAX_SHOWN ? `…(${text.length} bytes)` : ''}`,
        ]
  return [
    'curl -gi',
    `-X ${method}`,
    quote(`${base}${path}`),
    ...credentials,
    ...shownHeaders,
    ...shownBody,
  ].join(' ')
}

/** A word of the shell; bytes that cannot be printed as Bash writes them. */
function quote(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return `'${text.replaceAll("'", `'\\''`)}'`
  const escaped = text.replace(
    /[^\x20-\x7e]|['\\]/g,
    character => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
  return `$'${escaped}'`
}
