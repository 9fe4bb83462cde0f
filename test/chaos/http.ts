import { Agent, type IncomingHttpHeaders, request } from 'node:http'

/** A request of a client's. */
export interface Call {
  method?: string
  path: string
  token?: string
  headers?: Record<string, string>
  json?: unknown
}

/** An answer that came whole. */
export interface Answer {
  kind: 'answer'
  status: number
  headers: IncomingHttpHeaders
  body: string
  /** Its body as JSON; null when it is none. */
  json: Record<string, unknown> | null
  ms: number
}

/** What became of a request that was not answered, or in part. */
export interface Failure {
  /**
   * `refused`: there was no connection; `reset`: it ended before an answer began; `cut`: it ended in the middle of an
   * answer; `silent`: nothing came for too long.
   */
  kind: 'refused' | 'reset' | 'cut' | 'silent'
  error: string
  ms: number
}

export type Outcome = Answer | Failure

/** Longer than any answer of the server may take. */
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

/** Sends a request, over a connection that is kept, and never throws. */
export function send(base: string, { method = 'GET', path, token, headers, json }: Call): Promise<Outcome> {
  const body = json === undefined ? '' : JSON.stringify(json)
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
        ...(json !== undefined && {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        }),
        ...headers,
      },
    })
    const timer = setTimeout(() => sent.destroy(new Error('silent')), SILENCE_MS)
    sent.once('close', () => clearTimeout(timer))
    sent.once('error', (error: NodeJS.ErrnoException) => {
      if (error.message === 'silent') fail('silent', error)
      // What is left of half an answer is no HTTP.
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

/** An outcome in a few words, for a person. */
export const describe = (outcome: Outcome): string =>
  outcome.kind === 'answer'
    ? `${outcome.status} ${outcome.body.slice(0, 120)}`
    : `${outcome.kind} (${outcome.error})`

/** Whether an answer that refuses has what Laravel's have: JSON with a `message`. */
export const hasMessage = ({ json }: Answer): boolean => typeof json?.message === 'string'
