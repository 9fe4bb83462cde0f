import type { Schedule } from './schedule.ts'

/** How much the latest turn counts in the moving average of their durations. */
const LATEST_WEIGHT = 0.2

/** Callers with a history, and all others. */
export type Lane = 'known' | 'stranger'

/** Who asks for a turn. */
export interface QueuedCaller {
  /** The network that shares one turn of each round. */
  network: string
  lane: Lane
  /** Whether the network may hold as many places as there are: for machines that call on behalf of many users. */
  isUnbounded: boolean
  /** The caller's connection: a caller whose connection is destroyed gets no turn. */
  connection: { readonly destroyed: boolean }
}

/** Why a caller got no turn. */
export type RefusalReason = 'network full' | 'queue full' | 'deadline' | 'disconnected'

/** A caller got no turn. The same call can succeed later. */
export class TurnRefused extends Error {
  readonly reason: RefusalReason
  /** Milliseconds by which all who wait now will have had their turn or passed their deadline. */
  readonly retryAfterMs: number

  constructor(reason: RefusalReason, retryAfterMs: number) {
    super(`Refused a turn: ${reason}.`)
    this.name = 'TurnRefused'
    this.reason = reason
    this.retryAfterMs = retryAfterMs
  }
}

export interface FairQueueOptions {
  /** Turns at the same time. */
  concurrency: number
  /** Callers that can wait, by lane. */
  places: Readonly<Record<Lane, number>>
  /** Callers of one network that can wait in one lane. */
  perNetwork: number
  /**
   * Turns for which a network's last one puts it behind networks that had none, by lane. With nought, turns simply go
   * round. More keeps floods of that many networks from delaying a new one, and lets new ones delay those that had a
   * turn for as long.
   */
  memory: Readonly<Record<Lane, number>>
  /** Milliseconds that a caller waits for its turn. */
  deadlineMs: number
  schedule: Schedule
  /** Monotonic milliseconds. */
  monotonic: () => number
  /** Is told of each refusal. */
  onRefusal?: (reason: RefusalReason) => void
}

export interface FairQueue {
  /** Whether a caller would get a turn at once. */
  readonly isFree: boolean
  /** Callers that wait in a lane. */
  waiting(lane: Lane): number
  /**
   * Waits for a turn and works in it. The turn ends when the work settles, whose result is returned.
   *
   * @throws {TurnRefused} when there is no place, or no turn before the deadline
   */
  run<T>(caller: QueuedCaller, work: () => Promise<T>): Promise<T>
}

interface Waiter {
  caller: QueuedCaller
  start(): void
  refuse(reason: RefusalReason): void
}

/**
 * A queue that is fair to networks instead of requests, so that a flood from some networks delays others by a bounded
 * number of turns. Invariants:
 *
 * - The network whose last turn is the longest ago goes first, and those whose last turn is forgotten in order of
 *   arrival. So while a caller is the first of its network, every other network in its lane gets at most one turn; and
 *   with a memory, a network that floods cannot keep a position at the front.
 * - Within a network, callers get their turns in order of arrival.
 * - The lanes take alternate turns while both have waiters, and have places of their own: neither can starve the other.
 * - A full lane refuses the caller whose turn would come last, be it the new one or one that waits: by position within
 *   the network, then by the network's last turn. So the network with most waiters gives way first, and a refused
 *   caller that comes again displaces nobody.
 * - Every call settles: by its work, or by a refusal within the deadline.
 */
export function fairQueue({
  concurrency,
  places,
  perNetwork,
  memory,
  deadlineMs,
  schedule,
  monotonic,
  onRefusal = () => {},
}: FairQueueOptions): FairQueue {
  const lanes = {
    known: new WaitingLane(places.known, perNetwork, memory.known),
    stranger: new WaitingLane(places.stranger, perNetwork, memory.stranger),
  }
  let running = 0
  let turns = 0
  let lastLane: Lane = 'stranger'
  let meanTurnMs: number | null = null

  /** All waiters have had a turn, or passed their deadline, after this time. */
  const drainMs = () => {
    if (meanTurnMs === null) return deadlineMs
    const ahead = lanes.known.size + lanes.stranger.size + running
    return Math.min(deadlineMs, (ahead / concurrency) * meanTurnMs)
  }

  const takeNext = (): Waiter | undefined => {
    const other = lastLane === 'known' ? 'stranger' : 'known'
    return lanes[other].take() ?? lanes[lastLane].take()
  }

  const startNext = () => {
    while (running < concurrency) {
      const waiter = takeNext()
      if (waiter === undefined) return
      const { lane, network } = waiter.caller
      turns += 1
      lastLane = lane
      lanes[lane].noteTurn(network, turns)
      running += 1
      waiter.start()
    }
  }

  const endTurn = (startedAt: number) => {
    const ms = monotonic() - startedAt
    meanTurnMs = meanTurnMs === null ? ms : meanTurnMs + LATEST_WEIGHT * (ms - meanTurnMs)
    running -= 1
    startNext()
  }

  return {
    get isFree() {
      return running < concurrency
    },
    waiting: lane => lanes[lane].size,
    run: <T>(caller: QueuedCaller, work: () => Promise<T>) =>
      new Promise<T>((resolve, reject) => {
        const lane = lanes[caller.lane]
        const cancelDeadline = schedule(deadlineMs, () => {
          lane.remove(waiter)
          waiter.refuse('deadline')
        })
        const waiter: Waiter = {
          caller,
          start() {
            cancelDeadline()
            const startedAt = monotonic()
            // In a callback, so that work that throws instead of rejecting ends its turn as well.
            const working = Promise.resolve().then(work)
            const end = () => endTurn(startedAt)
            working.then(end, end)
            resolve(working)
          },
          refuse(reason) {
            cancelDeadline()
            onRefusal(reason)
            reject(new TurnRefused(reason, drainMs()))
          },
        }
        lane.add(waiter, turns)
        startNext()
      }),
  }
}

/** The callers of one network that wait in a lane: at least one. */
interface WaitingNetwork {
  waiters: Waiter[]
  /** The number of its last turn, or of the oldest one that is remembered. The least goes first. */
  lastTurn: number
}

/** The callers of one lane that wait. */
class WaitingLane {
  readonly #places: number
  readonly #perNetwork: number
  readonly #memory: number
  /** In order of arrival. */
  readonly #networks = new Map<string, WaitingNetwork>()
  /** The number of each network's last turn, among the last ones, the oldest first. */
  readonly #recentTurns = new Map<string, number>()
  #size = 0

  constructor(places: number, perNetwork: number, memory: number) {
    this.#places = places
    this.#perNetwork = perNetwork
    this.#memory = memory
  }

  get size(): number {
    return this.#size
  }

  /**
   * Gives a caller a place, or refuses it or the one whose turn would come last.
   *
   * @param turn the number of the latest turn
   */
  add(waiter: Waiter, turn: number): void {
    this.#dropDisconnected()
    const { network: key, isUnbounded } = waiter.caller
    const network = this.#networks.get(key) ?? { waiters: [], lastTurn: this.#lastTurn(key, turn) }
    if (!isUnbounded && network.waiters.length >= this.#perNetwork) {
      waiter.refuse('network full')
      return
    }
    network.waiters.push(waiter)
    this.#networks.set(key, network)
    this.#size += 1
    if (this.#size > this.#places) this.#takeLast().refuse('queue full')
  }

  /** Takes the caller out whose turn it is. */
  take(): Waiter | undefined {
    this.#dropDisconnected()
    let next: WaitingNetwork | undefined
    for (const network of this.#networks.values()) {
      if (next === undefined || network.lastTurn < next.lastTurn) next = network
    }
    const waiter = next?.waiters[0]
    if (waiter !== undefined) this.remove(waiter)
    return waiter
  }

  remove(waiter: Waiter): void {
    const { network: key } = waiter.caller
    const { waiters } = this.#networks.get(key) as WaitingNetwork
    waiters.splice(waiters.indexOf(waiter), 1)
    if (waiters.length === 0) this.#networks.delete(key)
    this.#size -= 1
  }

  /** Notes that a network has the turn of a number. */
  noteTurn(key: string, turn: number): void {
    this.#recentTurns.delete(key)
    this.#recentTurns.set(key, turn)
    for (const [oldest, last] of this.#recentTurns) {
      if (last > turn - this.#memory) break
      this.#recentTurns.delete(oldest)
    }
    const network = this.#networks.get(key)
    if (network !== undefined) network.lastTurn = turn
  }

  #lastTurn(key: string, turn: number) {
    return Math.max(this.#recentTurns.get(key) ?? 0, turn - this.#memory)
  }

  /** Takes the caller out whose turn would come last. */
  #takeLast(): Waiter {
    let last: WaitingNetwork = { waiters: [], lastTurn: 0 }
    for (const network of this.#networks.values()) {
      const longer = network.waiters.length - last.waiters.length
      if (longer > 0 || (longer === 0 && network.lastTurn >= last.lastTurn)) last = network
    }
    const waiter = last.waiters.at(-1) as Waiter
    this.remove(waiter)
    return waiter
  }

  #dropDisconnected() {
    const waiters = [...this.#networks.values()].flatMap(network => network.waiters)
    for (const waiter of waiters.filter(({ caller }) => caller.connection.destroyed)) {
      this.remove(waiter)
      waiter.refuse('disconnected')
    }
  }
}
