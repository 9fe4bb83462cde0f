import type { MonotonicMillis } from '#src/runtime/units.ts'

/** The entry of a request in {@link OngoingRequests}. */
export interface OngoingRequest<Request> {
  readonly request: Request
  readonly since: MonotonicMillis
  previous: OngoingRequest<Request> | null
  next: OngoingRequest<Request> | null
  isOngoing: boolean
}

/**
 * The requests in progress, in order of arrival. A periodic sweep takes out those that exceed the timeout: cheaper than
 * one timer per request. A linked list, since a Map takes a multiple of the time.
 */
export class OngoingRequests<Request> {
  #first: OngoingRequest<Request> | null = null
  #last: OngoingRequest<Request> | null = null

  get isEmpty(): boolean {
    return this.#first === null
  }

  /** Adds a request. Some arrived before others that are in progress already: their head or a form was read meanwhile. */
  begin(request: Request, since: MonotonicMillis): OngoingRequest<Request> {
    let previous = this.#last
    while (previous !== null && previous.since > since) previous = previous.previous
    const next = previous === null ? this.#first : previous.next
    const entry: OngoingRequest<Request> = { request, since, previous, next, isOngoing: true }
    if (previous === null) this.#first = entry
    else previous.next = entry
    if (next === null) this.#last = entry
    else next.previous = entry
    return entry
  }

  /** Removes a request, if it was not removed before. */
  end(entry: OngoingRequest<Request>): void {
    if (!entry.isOngoing) return
    entry.isOngoing = false
    const { previous, next } = entry
    if (previous === null) this.#first = next
    else previous.next = next
    if (next === null) this.#last = previous
    else next.previous = previous
  }

  /** Removes and returns the requests that have been in progress since `latest` at the latest. */
  takeOlderThan(latest: MonotonicMillis): Request[] {
    const old: Request[] = []
    for (let entry = this.#first; entry !== null && entry.since <= latest; entry = entry.next) {
      this.end(entry)
      old.push(entry.request)
    }
    return old
  }
}
