import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

/** The outcome of a slow request. */
type SlowAnswer =
  | { kind: 'answer'; status: number; connection: string | undefined }
  | { kind: 'failure'; error: string }

/** A write whose body is sent in two parts on a used connection. */
export class SlowRequest {
  /** Its name. */
  readonly key: string
  readonly answer: Promise<SlowAnswer>
  readonly #sent: ClientRequest
  readonly #rest: string

  private constructor(key: string, sent: ClientRequest, rest: string) {
    this.key = key
    this.#sent = sent
    this.#rest = rest
    this.answer = new Promise(resolve => {
      const fail = (error: Error) => resolve({ kind: 'failure', error: error.message })
      sent.once('error', fail)
      sent.once('response', (answer: IncomingMessage) => {
        answer.once('error', fail)
        answer.once('end', () => {
          const { statusCode = 0, headers } = answer
          resolve({ kind: 'answer', status: statusCode, connection: headers.connection })
        })
        answer.resume()
      })
    })
  }

  /** Sends the head and half of the body and waits until they have probably arrived. */
  static async begin(
    base: string,
    { key, token, type, body }: { key: string; token: string; type: string; body: string },
  ): Promise<SlowRequest> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const headers = { authorization: `Bearer ${token}`, accept: 'application/json' }
    await new Promise<void>((resolve, reject) => {
      const first = request(`${base}/api/me`, { agent, headers }, answer => {
        answer.resume().once('end', resolve)
      })
      first.once('error', reject).end()
    })
    const sent = request(`${base}/api/playlist`, {
      method: 'POST',
      agent,
      headers: { ...headers, 'content-type': type, 'content-length': Buffer.byteLength(body) },
    })
    const half = body.length >> 1
    const slow = new SlowRequest(key, sent, body.slice(half))
    sent.write(body.slice(0, half))
    await delay(100)
    return slow
  }

  /** Sends the rest. */
  finish(): void {
    this.#sent.end(this.#rest)
  }
}
