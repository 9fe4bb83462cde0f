import { Agent, type IncomingHttpHeaders, request } from 'node:http'

/** A request of a client. */
export interface Call {
  method?: string
  path: string
  token?: string
  headers?: Record<string, string>
  json?: unknown
  /** A body that is not JSON, with its type in the headers. */
  body?: Buffer
}

/** A complete response. */
export interface Answer {
  kind: 'answer'
  status: number
  headers: IncomingHttpHeaders
  body: string
  /** The body as JSON; null if it is not JSON. */
  json: Record<string, unknown> | null
  ms: number
}

/** The outcome of a request without a complete response. */
export interface Failure {
  /**
   * `refused`: there was no connection; `reset`: it ended before an answer began; `cut`: it ended in the middle of an
   * answer; `silent`: no data within the limit.
   */
  kind: 'refused' | 'reset' | 'cut' | 'silent'
  error: string
  ms: number
}

export type Outcome = Answer | Failure

/** Longer than any response of the server may take. */
const SILENCE_MS = 35_000

const agents = new Map<string, Agent>()

function agentOf(base: string): Agent {
  const known = agents.get(base)
  if (known) return known
  const agent = new Agent({ keepAlive: true })
  agents.set(base, agent)
  return agent
}

/** Closes the connections to a server. */
export function hangUp(base: string): void {
  agents.get(base)?.destroy()
  agents.delete(base)
}

/** Sends a request over a keep-alive connection; never throws. */
export function send(
  base: string,
  { method = 'GET', path, token, headers, ...call }: Call,
): Promise<Outcome> {
  const { json } = call
  const body = call.body ?? Buffer.from(json === undefined ? '' : JSON.stringify(json))
  const from = performance.now()
  return new Promise(resolve => {
    const fail = (kind: Failure['kind'], error: NodeJS.ErrnoException) =>
      resolve({ kind, error: error.code ?? error.message, ms: performance.now() - from })
    const sent = request(base + path, {
      method,
      agent: agentOf(base),
      headers: {
        accept: 'application/json',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(json !== undefined && { 'content-type': 'application/json' }),
        ...(body.length > 0 && { 'content-length': body.length }),
        ...headers,
      },
    })
    const timer = setTimeout(() => sent.destroy(new Error('silent')), SILENCE_MS)
    sent.once('close', () => clearTimeout(timer))
    sent.once('error', (error: NodeJS.ErrnoException) => {
      if (error.message === 'silent') fail('silent', error)
      // The rest of an interrupted response is not valid HTTP.
      else if (error.code?.startsWith('HPE_')) fail('cut', error)
      else fail(error.code === 'ECONNREFUSED' ? 'refused' : 'reset', error)
    })
    sent.once('response', answer => {
      const chunks: Buffer[] = []
      answer.on('data', chunk => chunks.push(chunk))
      answer.once('error', error => fail('cut', error))
      answer.once('end', () => {
        const text = Buffer.concat(chunks).toString()
        resolve({
          kind: 'answer',
          status: answer.statusCode ?? 0,
          headers: answer.headers,
          body: text,
          json: parse(text),
          ms: performance.now() - from,
        })
      })
    })
    sent.end(body)
  })
}

function parse(text: string): Record<string, unknown> | null {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** Describes an outcome in a few words. */
export const describe = (outcome: Outcome): string =>
  outcome.kind === 'answer'
    ? `${outcome.status} ${outcome.body.slice(0, 120)}`
    : `${outcome.kind} (${outcome.error})`

/** Whether a refusal is like those of Laravel: JSON with a `message`. */
export const hasMessage = ({ json }: Answer): boolean => typeof json?.message === 'string'
