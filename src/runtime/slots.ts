import { deadline } from './deadline.ts'

/** How many of those who share a key may hold a slot, and how many may wait for one. */
export interface Bound {
  key: string
  holding: number
  waiting: number
}

/** The slots of one kind of work. */
export interface SlotLimits {
  /** How many may be held at once. */
  slots: number
  /** How many may wait for one. */
  waiting: number
  /** How long one may wait, in milliseconds. */
  waitMs: number
}

export interface SlotRequest<Kind> {
  kind: Kind
  bounds?: readonly Bound[] | undefined
  /** Whoever waits gives up when it aborts. It is asked for when there is no slot. */
  signal?: (() => AbortSignal) | undefined
  /** Whether to wait without a deadline. */
  isPatient?: boolean | undefined
}

/** Why no slot is to be had. */
export type Refusal = 'queue full' | 'waited too long' | 'given up'

interface Waiting {
  bounds: readonly Bound[]
  start(): void
}

/**
 * A semaphore with several kinds of work in order of priority: a free slot goes to the first kind that has someone
 * waiting, within a kind in the order of asking, past those who are at one of their bounds.
 */
export class Slots<Kind extends string> {
  readonly #kinds: ReadonlyMap<Kind, { limits: SlotLimits; held: number; queue: Waiting[] }>
  readonly #holding = new Map<string, number>()
  readonly #waiting = new Map<string, number>()
  readonly #refuse: (refusal: Refusal, kind: Kind) => Error
  #free: number

  /**
   * @param limits by kind, the most urgent first
   * @param total how many slots may be held at once by all kinds together
   * @param refuse makes the error with which a request is refused
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
   * Takes a slot.
   *
   * @returns a function that gives it back; further calls of it do nothing
   * @throws what `refuse` makes, when too many are waiting, when it takes too long, or when the signal aborts
   */
  async take({
    kind,
    bounds = [],
    signal: signalOf,
    isPatient = false,
  }: SlotRequest<Kind>): Promise<() => void> {
    const one = this.#kinds.get(kind)
    if (one === undefined) throw new Error(`There are no slots for ${kind}.`)
    // Whoever waits already could not start.
    if (this.#canStart(kind, bounds)) return this.#start(kind, bounds)
    const signal = signalOf?.()
    if (signal?.aborted) throw this.#refuse('given up', kind)
    const isFull =
      !isPatient &&
      (one.queue.length >= one.limits.waiting ||
        bounds.some(({ key, waiting }) => (this.#waiting.get(key) ?? 0) >= waiting))
    if (isFull) throw this.#refuse('queue full', kind)
    return new Promise((resolve, reject) => {
      const leave = () => {
        stop()
        signal?.removeEventListener('abort', onAbort)
        one.queue.splice(one.queue.indexOf(waiting), 1)
        for (const { key } of bounds) count(this.#waiting, key, -1)
      }
      const refuse = (refusal: Refusal) => {
        leave()
        reject(this.#refuse(refusal, kind))
      }
      const onAbort = () => refuse('given up')
      const waiting: Waiting = {
        bounds,
        start: () => {
          leave()
          resolve(this.#start(kind, bounds))
        },
      }
      const stop = deadline(isPatient ? Number.POSITIVE_INFINITY : one.limits.waitMs, () =>
        refuse('waited too long'),
      )
      signal?.addEventListener('abort', onAbort)
      one.queue.push(waiting)
      for (const { key } of bounds) count(this.#waiting, key, 1)
    })
  }

  #canStart(kind: Kind, bounds: readonly Bound[]): boolean {
    const one = this.#kinds.get(kind)
    return (
      one !== undefined &&
      this.#free > 0 &&
      one.held < one.limits.slots &&
      bounds.every(({ key, holding }) => (this.#holding.get(key) ?? 0) < holding)
    )
  }

  #start(kind: Kind, bounds: readonly Bound[]): () => void {
    const one = this.#kinds.get(kind) as { held: number }
    const change = (by: 1 | -1) => {
      one.held += by
      this.#free -= by
      for (const { key } of bounds) count(this.#holding, key, by)
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
    for (const [kind, { queue }] of this.#kinds) {
      for (;;) {
        if (this.#free === 0) return
        const next = queue.find(({ bounds }) => this.#canStart(kind, bounds))
        if (next === undefined) break
        next.start()
      }
    }
  }
}

function count(counts: Map<string, number>, key: string, by: 1 | -1) {
  const value = (counts.get(key) ?? 0) + by
  if (value === 0) counts.delete(key)
  else counts.set(key, value)
}
