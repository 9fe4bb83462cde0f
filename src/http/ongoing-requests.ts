import type { Millis, MonotonicMillis } from '#src/runtime/units.ts'

/**
 * The requests in progress, in order of arrival. A periodic sweep takes out those that exceed the timeout: cheaper than
 * one timer per request.
 */
export class OngoingRequests<Request> {
  /** Start times, in order of insertion. */
  readonly #ongoing = new Map<Request, MonotonicMillis>()
  readonly #monotonic: () => MonotonicMillis

  constructor(monotonic: () => MonotonicMillis) {
    this.#monotonic = monotonic
  }

  get size(): number {
    return this.#ongoing.size
  }

  begin(request: Request): void {
    this.#ongoing.set(request, this.#monotonic())
  }

  end(request: Request): void {
    this.#ongoing.delete(request)
  }

  /** Removes and returns the requests that have taken at least `ms`. */
  takeOlderThan(ms: Millis): Request[] {
    const latest = this.#monotonic() - ms
    const old: Request[] = []
    for (const [request, since] of this.#ongoing) {
      if (since > latest) break
      old.push(request)
    }
    for (const request of old) this.#ongoing.delete(request)
    return old
  }
}
