/**
 * The requests that are under way, in the order in which they came, for a sweep that gives up those that take too long.
 * A timer for each request would cost more.
 */
export class OngoingRequests<Request> {
  /** Since when each is under way. */
  readonly #ongoing = new Map<Request, number>()
  readonly #monotonic: () => number

  /** @param monotonic milliseconds since a moment that does not change */
  constructor(monotonic: () => number) {
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

  /** Takes out those that have been under way for at least so many milliseconds. */
  takeOlderThan(ms: number): Request[] {
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
