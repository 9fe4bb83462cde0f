import { type Answer, describe, type Outcome } from '../chaos/http.ts'
import type { CompiledDocument } from '../support/compiled-document.ts'
import { type CallerKind, hasSession, isStaff } from './people.ts'
import type { FuzzRequest } from './request.ts'

/** What would tell a client how the server is made. */
const LEAK =
  /node_modules|\bat .{1,80}\.[jt]s:\d+|syntax error at|relation .* does not exist|violates .* constraint|ECONN/

/** Whether a 503 says that the server is busy, and when to come again. */
export const isExplained = ({ status, headers, json }: Answer): boolean =>
  status === 503 && headers['retry-after'] !== undefined && typeof json?.message === 'string'

/** What is wrong with the answer to a request that a caller has sent; null if nothing is. */
export function faultOf(
  document: CompiledDocument,
  { operationId, method, expectation, path, isForged }: FuzzRequest,
  caller: CallerKind,
  url: string,
  outcome: Outcome,
): string | null {
  if (outcome.kind !== 'answer') return `no answer: ${describe(outcome)}`
  const { status, headers, body, json } = outcome
  if (status >= 500 && !isExplained(outcome)) return `a server error: ${describe(outcome)}`
  if (LEAK.test(body) && status >= 400) return `an answer that tells internals: ${describe(outcome)}`
  const isHead = method === 'HEAD'
  if (isHead && body !== '') return 'a body in answer to HEAD'
  const [undocumented] = document.faultsOf(operationId, {
    status,
    headers,
    body: isHead ? undefined : body,
    url,
  })
  if (undocumented !== undefined) return `${undocumented}: ${describe(outcome)}`

  const isDone = status < 400
  const isChange = method !== 'GET' && !isHead
  const { security, responses } = document.operations.get(operationId) as {
    security?: Record<string, unknown>[]
    responses: object
  }
  // A redirect may lead to a login.
  if (status < 300 && !admits(security, caller)) return `a ${caller} may do it: ${describe(outcome)}`
  if (isDone && isForged && hasSession(caller) && '419' in responses)
    return `another site may do it: ${describe(outcome)}`
  const isOthers = path.some(part => typeof part !== 'string' && part.owner === 'other')
  if (isDone && isChange && isOthers && !isStaff(caller)) return `done to another user: ${describe(outcome)}`
  // The body of a login is not read in a session that is logged in.
  const isRead = json?.error !== 'Already authenticated.'
  if (isDone && isRead && expectation === 'refused')
    return `accepted what the document forbids: ${describe(outcome)}`
  if (expectation === 'accepted' && [400, 413, 414, 415, 422].includes(status) && !isTooMuch(json)) {
    return `refused what the document allows: ${describe(outcome)}`
  }
  return null
}

/** Whether security requirements admit a caller; those of the whole document by default. */
function admits(security: Record<string, unknown>[] | undefined, caller: CallerKind): boolean {
  const alternatives = security ?? [{ token: [] }, { session: [] }]
  if (alternatives.length === 0) return true
  const scheme = caller === 'guest' ? null : hasSession(caller) ? 'session' : 'token'
  return alternatives.some(one => Object.keys(one).length === 0 || (scheme !== null && scheme in one))
}

/** Whether a list is refused for its cost, or for a sort key that contradicts another, which a schema cannot express. */
const isTooMuch = (json: Answer['json']): boolean =>
  /^(This query costs|The include would show|The sort field (prohibits random|has a duplicate))/.test(
    String(json?.message),
  )

/** Statuses that pages of the panel answer with. */
const PAGE_STATUSES = new Set([
  200, 201, 303, 400, 401, 403, 404, 405, 409, 410, 413, 415, 419, 422, 423, 429,
])

/** What is wrong with a page of the panel; null if nothing is. */
export function faultOfPage(outcome: Outcome): string | null {
  if (outcome.kind !== 'answer') return `no answer: ${describe(outcome)}`
  const { status, headers, body } = outcome
  if (status === 503 && headers['retry-after'] !== undefined) return null
  if (!PAGE_STATUSES.has(status)) return `the status is ${status}: ${textOf(body)}`
  const location = headers.location ?? ''
  if (status === 303) return /^\/(?!\/)/.test(location) ? null : `it leads to ${location}`
  // A download, which no browser shows as a page of the panel.
  const isFile = /^attachment;/.test(headers['content-disposition'] ?? '')
  if (status === 200 && isFile && headers['x-content-type-options'] === 'nosniff') return null
  if (!/^text\/html/.test(headers['content-type'] ?? ''))
    return `it is ${headers['content-type']}: ${body.slice(0, 100)}`
  if (!/script-src '(?:self|none)'/.test(String(headers['content-security-policy']))) {
    return `its policy is ${headers['content-security-policy']}`
  }
  if (body.includes('<fuzz'))
    return `it shows an entered text as HTML: ${body.split('<fuzz')[0]?.slice(-100)}`
  if (LEAK.test(body)) return `it tells internals: ${textOf(body)}`
  return null
}

const textOf = (html: string): string =>
  html
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .slice(0, 200)
