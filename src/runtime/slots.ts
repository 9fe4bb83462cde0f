import { startDeadline } from './deadline.ts'
import type { Millis } from './units.ts'

/** A limit on the requests that share a key. */
export interface KeyLimit {
  key: string
  maxHeld: number
  maxWaiting: number
}

/** The limits of one kind of work. */
export interface SlotLimits {
  /** How many slots may be held at once. */
  slots: number
  /** How many requests may wait. */
  maxWaiting: number
  /** How long a request may wait. */
  waitMs: Millis
}

export interface SlotRequest<Kind> {
  kind: Kind
  keyLimits?: readonly KeyLimit[] | undefined
  /** Cancels the wait when it aborts. Called only when no slot is free. */
  signal?: (() => AbortSignal) | undefined
  /** Whether to wait without a deadline. */
  hasNoDeadline?: boolean | undefined
}

/** Why no slot was granted. */
export type Refusal = 'queue full' | 'waited too long' | 'given up'

interface Waiter {
  keyLimits: readonly KeyLimit[]
  start(): void
}

/** The state of one kind of work. */
interface KindState {
  limits: SlotLimits
  held: number
  queue: Waiter[]
}

const NO_LIMITS: readonly KeyLimit[] = []

/**
 * A semaphore with several kinds of work in order of priority: a free slot goes to the first kind that has waiters,
 * within a kind in order of arrival, skipping requests that are at a key limit.
 */
export class Slots<Kind extends string> {
  readonly #kinds: ReadonlyMap<Kind, KindState>
  readonly #holding = new Map<string, number>()
  readonly #waiting = new Map<string, number>()
  readonly #refuse: (refusal: Refusal, kind: Kind) => Error
  #free: number

  /**
   * @param limits by kind, the most urgent first
   * @param total how many slots all kinds together may hold
   * @param refuse makes the error of a refused request
   */
  constructor(
    limits: Readonly<Record<Kind, SlotLimits>>,
    total: number,
    refuse: (refusal: Refusal, kind: Kind) => Error,
  ) {
    this.#kinds = new Map(
      (Object.entries(limits) as [Kind, SlotLimits][]).map(([kind, limits]) => [
        kind,
        { limits, held: 0, queue: [] },
      ]),
    )
    this.#free = total
    this.#refuse = refuse
  }

  /**
   * Acquires a slot if one is free.
   *
   * @returns a function that releases it, as {@link take} does; null when a request has to wait
   */
  takeFree(kind: Kind, keyLimits: readonly KeyLimit[] = NO_LIMITS): (() => void) | null {
    const one = this.#kinds.get(kind)
    if (one === undefined) throw new Error(`There are no slots for ${kind}.`)
    // Earlier waiters could not start, or they would have.
    return this.#canStart(one, keyLimits) ? this.#start(one, keyLimits) : null
  }

  /**
   * Acquires a slot.
   *
   * @returns a function that releases it; further calls do nothing
   * @throws the error of `refuse`, when too many wait, waiting takes too long, or the signal aborts
   */
  async take({
    kind,
    keyLimits = NO_LIMITS,
    signal: signalOf,
    hasNoDeadline = false,
  }: SlotRequest<Kind>): Promise<() => void> {
    const free = this.takeFree(kind, keyLimits)
    if (free !== null) return free
    const one = this.#kinds.get(kind) as KindState
    const signal = signalOf?.()
    if (signal?.aborted) throw this.#refuse('given up', kind)
    const isFull =
      !hasNoDeadline &&
      (one.queue.length >= one.limits.maxWaiting ||
        keyLimits.some(({ key, maxWaiting }) => (this.#waiting.get(key) ?? 0) >= maxWaiting))
    if (isFull) throw this.#refuse('queue full', kind)
    return new Promise((resolve, reject) => {
      const leave = () => {
        stop()
        signal?.removeEventListener('abort', onAbort)
        one.queue.splice(one.queue.indexOf(waiting), 1)
        for (const { key } of keyLimits) addTo(this.#waiting, key, -1)
      }
      const refuse = (refusal: Refusal) => {
        leave()
        reject(this.#refuse(refusal, kind))
      }
      const onAbort = () => refuse('given up')
      const waiting: Waiter = {
        keyLimits,
        start: () => {
          leave()
          resolve(this.#start(one, keyLimits))
        },
      }
      const stop = startDeadline(hasNoDeadline ? Number.POSITIVE_INFINITY : one.limits.waitMs, () =>
        refuse('waited too long'),
      )
      signal?.addEventListener('abort', onAbort)
      one.queue.push(waiting)
      for (const { key } of keyLimits) addTo(this.#waiting, key, 1)
    })
  }

  #canStart(one: KindState, keyLimits: readonly KeyLimit[]): boolean {
    return (
      this.#free > 0 &&
      one.held < one.limits.slots &&
      keyLimits.every(({ key, maxHeld }) => (this.#holding.get(key) ?? 0) < maxHeld)
    )
  }

  #start(one: KindState, keyLimits: readonly KeyLimit[]): () => void {
    const change = (by: 1 | -1) => {
      one.held += by
      this.#free -= by
      for (const { key } of keyLimits) addTo(this.#holding, key, by)
    }
    change(1)
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      change(-1)
      this.#dispatch()
    }
  }

  #dispatch() {
    for (const one of this.#kinds.values()) {
      while (one.queue.length > 0 && one.held < one.limits.slots) {
        if (this.#free === 0) return
        const next = one.queue.find(({ keyLimits }) => this.#canStart(one, keyLimits))
        if (next === undefined) break
        next.start()
      }
    }
  }
}

function addTo(counts: Map<string, number>, key: string, by: 1 | -1) {
  const value = (counts.get(key) ?? 0) + by
  if (value === 0) counts.delete(key)
  else counts.set(key, value)
}
