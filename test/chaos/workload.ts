import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { Browser } from './browser.ts'
import { type Answer, type Call, describe, hasMessage, type Outcome, send } from './http.ts'
import { Ledger } from './ledger.ts'
import type { User } from './seed.ts'
import type { Instance } from './server.ts'
import { until } from './wait.ts'

/** What is no mistake while a fault lasts and until everything is right again. */
export interface Tolerance {
  /** Answers of 503. */
  busy: boolean
  /** The limit for a response in milliseconds; that of the server by default. */
  slowMs?: number
}

/** Tolerates nothing, for times without a fault. */
export const NOTHING: Tolerance = { busy: false }

/** Milliseconds between two requests of a client, since all share the processors. */
const PAUSE_MS = 25

/** How long everything must work on all instances to count as recovered. */
const RIGHT_MS = 1_000

/** Conditions for a response, with a sentence for the expectation. */
interface Expectation {
  expected: string
  accepts(answer: Answer): boolean
}

const status = (...statuses: number[]): Expectation => ({
  expected: statuses.join(' or '),
  accepts: answer => statuses.includes(answer.status),
})

const userIs = ({ id }: User): Expectation => ({
  expected: `200 with user ${id}`,
  accepts: ({ status, json }) => status === 200 && (json?.user as { id?: number } | undefined)?.id === id,
})

/** Several clients that send requests to all instances in turn, check the responses, and record writes. */
export class Workload {
  readonly ledger = new Ledger()
  requests = 0
  /** Requests with a tolerated failure. */
  troubled = 0
  /** Forbidden responses, a sentence each. */
  readonly wrong: string[] = []
  readonly #instances: readonly Instance[]
  readonly #users: readonly User[]
  readonly #heardMs: number
  readonly #run = randomBytes(4).toString('hex')
  #tolerance = NOTHING
  #isEnding = false
  #loops: Promise<void>[] = []
  #count = 0
  /** The time of the last failure, and of the last success of each instance. */
  #troubleAt = Number.NEGATIVE_INFINITY
  readonly #rightAt = new Map<Instance, number>()

  /**
   * @param heardMs how long a token that was revoked on one instance may count on the others, in milliseconds; on the
   * one that has acknowledged it, it never does
   */
  constructor(instances: readonly Instance[], users: readonly User[], heardMs = 0) {
    this.#instances = instances
    this.#users = users
    this.#heardMs = heardMs
  }

  /** Starts the clients. */
  async start(): Promise<void> {
    const [a, b, c, d, e, f, g, h] = this.#users as [User, User, User, User, User, User, User, User]
    const browser = new Browser()
    const first = this.#instances[0] as Instance
    await this.#judge('POST /login', first, status(200), () => browser.logIn(first.base, h))
    const loops = [
      () => this.#read(a),
      () => this.#read(b),
      () => this.#readRevoked(c),
      () => this.#aPlaylist(d),
      () => this.#aPlaylist(e),
      () => this.#cycleToken(f),
      () => this.#readNotification(g),
      () => this.#readInSession(h, browser),
    ]
    this.#loops = loops.map(async act => {
      while (!this.#isEnding) {
        const before = this.#troubleAt
        await act()
        // Refusals are fast and would raise the rate of requests.
        await delay(this.#troubleAt === before ? PAUSE_MS : PAUSE_MS * 4)
      }
    })
  }

  /** Stops the clients after their last responses. */
  async stop(): Promise<void> {
    this.#isEnding = true
    await Promise.all(this.#loops)
  }

  /** Sets what is tolerated from now on. */
  tolerate(tolerance: Tolerance): void {
    this.#tolerance = tolerance
  }

  /**
   * Waits until everything has worked on all instances for a second.
   *
   * @returns how long it took until then, in seconds
   * @throws {Error} when it takes too long
   */
  async recovered(limitMs: number): Promise<number> {
    const from = performance.now()
    const isRight = () => {
      const now = performance.now()
      const since = Math.max(from, this.#troubleAt)
      return (
        now - since >= RIGHT_MS &&
        this.#instances.every(instance => (this.#rightAt.get(instance) ?? Number.NEGATIVE_INFINITY) > since)
      )
    }
    await until('all requests to be right again', isRight, limitMs)
    return Math.max(0, this.#troubleAt - from) / 1_000
  }

  /** The next instance in turn. */
  #next(): Instance {
    this.#count += 1
    return this.#instances[this.#count % this.#instances.length] as Instance
  }

  async #read(user: User) {
    await this.#ask('GET /api/me', { path: '/api/me', token: user.token }, userIs(user))
  }

  async #readInSession(user: User, browser: Browser) {
    const instance = this.#next()
    await this.#judge('GET /api/me in a session', instance, userIs(user), () =>
      browser.send(instance.base, { path: '/api/me' }),
    )
  }

  async #readRevoked(user: User) {
    await this.#ask('GET /api/me, token revoked', { path: '/api/me', token: user.revoked }, status(401))
  }

  async #aPlaylist(user: User) {
    const name = this.#name()
    const acknowledge = this.ledger.sent('playlist', name)
    const json = { name, visibility: 'Private' }
    const call = { method: 'POST', path: '/api/playlist', token: user.token, json }
    if (await this.#ask(`POST /api/playlist ${name}`, call, status(201))) acknowledge()
  }

  async #readNotification(user: User) {
    const id = user.notifications.pop()
    if (id === undefined) return
    const acknowledge = this.ledger.sent('notification', id)
    const path = `/api/me/notification/${id}/read`
    if (await this.#ask(`PUT ${path}`, { method: 'PUT', path, token: user.token }, status(200))) acknowledge()
  }

  /** Issues a token, uses it on all instances, revokes it, and checks it on all instances. */
  async #cycleToken(user: User) {
    const name = this.#name()
    const issued = this.ledger.sent('token', name)
    const post = { method: 'POST', path: '/api/me/token', token: user.token, json: { name } }
    const answer = await this.#ask(`POST /api/me/token ${name}`, post, status(201))
    if (answer === null) return
    issued()
    const token = String(answer.json?.plain_text_token)
    const id = token.split('|')[0] ?? ''
    for (const instance of this.#instances) {
      await this.#ask('GET /api/me, token just issued', { path: '/api/me', token }, userIs(user), instance)
    }
    const revoked = this.ledger.sent('revocation', `${id} ${name}`)
    const path = `/api/me/token/${id}`
    const call = { method: 'DELETE', path, token: user.token }
    const revoker = this.#next()
    if ((await this.#ask(`DELETE ${path}`, call, status(200, 204), revoker)) === null) return
    revoked()
    const from = performance.now()
    for (const instance of [revoker, ...this.#instances.filter(other => other !== revoker)]) {
      const isElsewhere = instance !== revoker
      const isEnded: Expectation = {
        expected: '401',
        accepts: answer =>
          answer.status === 401 ||
          // The time of sending counts, since a response may be slow.
          (isElsewhere && answer.status === 200 && performance.now() - answer.ms - from < this.#heardMs),
      }
      for (let isHeard = false; !isHeard; ) {
        const what = `GET /api/me, token ${id} just revoked on ${revoker.name}`
        const got = await this.#ask(what, { path: '/api/me', token }, isEnded, instance)
        isHeard = got?.status !== 200
      }
    }
  }

  #name() {
    this.#count += 1
    return `chaos-${this.#run}-${this.#count}`
  }

  #ask(what: string, call: Call, expectation: Expectation, instance = this.#next()): Promise<Answer | null> {
    return this.#judge(what, instance, expectation, () => send(instance.base, call))
  }

  /** Sends a request and checks the outcome. @returns the response if it was as expected */
  async #judge(
    what: string,
    instance: Instance,
    { expected, accepts }: Expectation,
    act: () => Promise<Outcome>,
  ): Promise<Answer | null> {
    const sentAt = performance.now()
    const outcome = await act()
    const now = performance.now()
    this.requests += 1
    const { busy, slowMs = Number.POSITIVE_INFINITY } = this.#tolerance
    const isRight = outcome.kind === 'answer' && accepts(outcome)
    if (isRight && outcome.ms <= slowMs) {
      this.#rightAt.set(instance, now)
      return outcome
    }
    this.#troubleAt = now
    const isDown = instance.wasDownSince(sentAt)
    const isTolerated =
      outcome.kind === 'answer'
        ? outcome.status === 503 && (busy || isDown) && hasMessage(outcome) && outcome.ms <= slowMs
        : isDown && outcome.kind !== 'cut'
    if (isTolerated) this.troubled += 1
    else {
      const got = isRight ? `it after ${Math.round(outcome.ms)} ms` : describe(outcome)
      this.wrong.push(`${what} on ${instance.name}: expected ${expected}, got ${got}`)
    }
    return isRight ? outcome : null
  }
}
