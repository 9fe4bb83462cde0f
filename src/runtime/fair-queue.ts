import type { Schedule } from './schedule.ts'
import type { Millis, MonotonicMillis } from './units.ts'

/** The weight of the latest run in the moving average of durations (EWMA). */
const LATEST_WEIGHT = 0.2

/** The lanes of the queue: callers with a history, and all others. */
export type Lane = 'known' | 'stranger'

/** A caller that requests a slot. */
export interface QueuedCaller {
  /** The client network, the unit of the round-robin. */
  network: string
  lane: Lane
  /** Whether the per-network limit does not apply: for machines that send requests on behalf of many users. */
  isUnbounded: boolean
  /** The caller's connection: destroyed connections get no slot. */
  connection: { readonly destroyed: boolean }
}

/** Why a caller got no slot. */
export type RefusalReason = 'network full' | 'queue full' | 'deadline' | 'disconnected'

/** A caller got no slot. A later retry can succeed. */
export class SlotRefused extends Error {
  readonly reason: RefusalReason
  /** After this time all current waiters have had a slot or passed their deadline. */
  readonly retryAfterMs: Millis

  constructor(reason: RefusalReason, retryAfterMs: Millis) {
    super(`Refused a queue slot: ${reason}.`)
    this.name = 'TurnRefused'
    this.reason = reason
    this.retryAfterMs = retryAfterMs
  }
}

export interface FairQueueOptions {
  /** Concurrent slots. */
  concurrency: number
  /** How many callers can wait, by lane. */
  capacity: Readonly<Record<Lane, number>>
  /** How many callers of one network can wait in a lane. */
  maxPerNetwork: number
  /**
   * For how many slots a network's last one ranks it behind networks that had none, by lane. Zero is a plain
   * round-robin. A larger value keeps a flood from that many networks from delaying a new one, and lets new networks
   * delay those that had a slot for as long.
   */
  slotMemory: Readonly<Record<Lane, number>>
  /** How long a caller waits for a slot. */
  deadlineMs: Millis
  schedule: Schedule
  monotonic: () => MonotonicMillis
  /** Called for each refusal. */
  onRefusal?: (reason: RefusalReason) => void
}

export interface FairQueue {
  /** Whether a caller would get a slot at once. */
  readonly isFree: boolean
  /** How many callers wait in a lane. */
  waiting(lane: Lane): number
  /**
   * Waits for a slot, runs the work and returns its result. The slot is released when the work settles.
   *
   * @throws {SlotRefused} when the queue is full, or no slot becomes free before the deadline
   */
  run<T>(caller: QueuedCaller, work: () => Promise<T>): Promise<T>
}

interface Waiter {
  caller: QueuedCaller
  start(): void
  refuse(reason: RefusalReason): void
}

/**
 * A fair queue: slots are given round-robin over client networks instead of requests, so that a flood from some
 * networks delays others by a bounded number of slots. Invariants:
 *
 * - The network whose last slot is the oldest goes first; networks whose last slot is no longer remembered go in order
 *   of arrival. So while a caller is the first of its network, every other network in its lane gets at most one slot;
 *   and with a memory, a flooding network cannot keep a position at the front.
 * - Within a network, callers are served in order of arrival.
 * - The lanes alternate while both have waiters, and have separate capacities: neither can starve the other.
 * - A full lane refuses the caller that would be served last, be it the new one or a waiting one: by position within
 *   the network, then by the network's last slot. So the network with most waiters gives way first, and a refused
 *   caller that retries displaces no other.
 * - Every call settles: by its work, or by a refusal within the deadline.
 */
export function fairQueue({
  concurrency,
  capacity,
  maxPerNetwork,
  slotMemory,
  deadlineMs,
  schedule,
  monotonic,
  onRefusal = () => {},
}: FairQueueOptions): FairQueue {
  const lanes = {
    known: new WaitingLane(capacity.known, maxPerNetwork, slotMemory.known),
    stranger: new WaitingLane(capacity.stranger, maxPerNetwork, slotMemory.stranger),
  }
  let running = 0
  let slotsGranted = 0
  let lastLane: Lane = 'stranger'
  let meanRunMs: Millis | null = null

  /** Estimates after which time all waiters have had a slot or passed their deadline. */
  const drainMs = () => {
    if (meanRunMs === null) return deadlineMs
    const ahead = lanes.known.size + lanes.stranger.size + running
    return Math.min(deadlineMs, (ahead / concurrency) * meanRunMs)
  }

  const takeNextWaiter = (): Waiter | undefined => {
    const other = lastLane === 'known' ? 'stranger' : 'known'
    return lanes[other].take() ?? lanes[lastLane].take()
  }

  const startNext = () => {
    while (running < concurrency) {
      const waiter = takeNextWaiter()
      if (waiter === undefined) return
      const { lane, network } = waiter.caller
      slotsGranted += 1
      lastLane = lane
      lanes[lane].recordSlot(network, slotsGranted)
      running += 1
      waiter.start()
    }
  }

  const releaseSlot = (startedAt: number) => {
    const ms = monotonic() - startedAt
    meanRunMs = meanRunMs === null ? ms : meanRunMs + LATEST_WEIGHT * (ms - meanRunMs)
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
            // In a callback, so that work that throws synchronously releases its slot too.
            const working = Promise.resolve().then(work)
            const end = () => releaseSlot(startedAt)
            working.then(end, end)
            resolve(working)
          },
          refuse(reason) {
            cancelDeadline()
            onRefusal(reason)
            reject(new SlotRefused(reason, drainMs()))
          },
        }
        lane.add(waiter, slotsGranted)
        startNext()
      }),
  }
}

/** The waiting callers of one network in a lane; at least one. */
interface WaitingNetwork {
  waiters: Waiter[]
  /** The number of its last slot, or of the oldest one that is remembered. The least goes first. */
  lastSlot: number
}

/** The waiting callers of one lane. */
class WaitingLane {
  readonly #capacity: number
  readonly #maxPerNetwork: number
  readonly #slotMemory: number
  /** In order of arrival. */
  readonly #networks = new Map<string, WaitingNetwork>()
  /** The numbers of the networks' last slots within the memory, the oldest first. */
  readonly #recentSlots = new Map<string, number>()
  #size = 0

  constructor(capacity: number, maxPerNetwork: number, slotMemory: number) {
    this.#capacity = capacity
    this.#maxPerNetwork = maxPerNetwork
    this.#slotMemory = slotMemory
  }

  get size(): number {
    return this.#size
  }

  /**
   * Queues a caller, or refuses it or the one that would be served last.
   *
   * @param slot the number of the latest slot
   */
  add(waiter: Waiter, slot: number): void {
    this.#dropDisconnected()
    const { network: key, isUnbounded } = waiter.caller
    const network = this.#networks.get(key) ?? { waiters: [], lastSlot: this.#lastSlot(key, slot) }
    if (!isUnbounded && network.waiters.length >= this.#maxPerNetwork) {
      waiter.refuse('network full')
      return
    }
    network.waiters.push(waiter)
    this.#networks.set(key, network)
    this.#size += 1
    if (this.#size > this.#capacity) this.#removeLast().refuse('queue full')
  }

  /** Removes and returns the caller to serve next. */
  take(): Waiter | undefined {
    this.#dropDisconnected()
    let next: WaitingNetwork | undefined
    for (const network of this.#networks.values()) {
      if (next === undefined || network.lastSlot < next.lastSlot) next = network
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

  /** Records that a network got the slot with a number. */
  recordSlot(key: string, slot: number): void {
    this.#recentSlots.delete(key)
    this.#recentSlots.set(key, slot)
    for (const [oldest, last] of this.#recentSlots) {
      if (last > slot - this.#slotMemory) break
      this.#recentSlots.delete(oldest)
    }
    const network = this.#networks.get(key)
    if (network !== undefined) network.lastSlot = slot
  }

  #lastSlot(key: string, slot: number) {
    return Math.max(this.#recentSlots.get(key) ?? 0, slot - this.#slotMemory)
  }

  /** Removes and returns the caller that would be served last. */
  #removeLast(): Waiter {
    let last: WaitingNetwork = { waiters: [], lastSlot: 0 }
    for (const network of this.#networks.values()) {
      const longer = network.waiters.length - last.waiters.length
      if (longer > 0 || (longer === 0 && network.lastSlot >= last.lastSlot)) last = network
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
