import { CONNECTION_CLASSES, type ConnectionClass } from '#src/runtime/connection-shares.ts'
import { type KeyLimit, type Refusal, type SlotLimits, type SlotRequest, Slots } from '#src/runtime/slots.ts'
import { DatabaseBusy } from './unavailable.ts'

/** A request for a connection. */
export interface ConnectionRequest {
  connectionClass: ConnectionClass
  /** Limits on the connections of the class that requests with the same key may hold. */
  keyLimits?: readonly KeyLimit[]
  /**
   * Aborts when the caller no longer waits: a queued request leaves the queue, a running statement is cancelled. Called
   * only when something takes long, since each signal has a cost.
   */
  signal?: () => AbortSignal
  /** Whether the connection is for a read-only transaction whose statements the server cancels at a timeout. */
  isReadOnly?: boolean
  /** Whether waiting and statements have no timeout, as in migrations. */
  hasNoDeadline?: boolean
}

/** The default request. */
export const WRITE_REQUEST: ConnectionRequest = { connectionClass: 'write' }

/** How many requests may wait for a connection of each class, and for how long. */
const QUEUES: Readonly<Record<ConnectionClass, Omit<SlotLimits, 'slots'>>> = {
  // Each request is a batch of up to 250 lookups.
  identity: { maxWaiting: 1_000, waitMs: 3_000 },
  login: { maxWaiting: 1_000, waitMs: 5_000 },
  write: { maxWaiting: 1_000, waitMs: 5_000 },
  list: { maxWaiting: 100, waitMs: 2_000 },
}

const REFUSALS: Readonly<Record<Refusal, string>> = {
  'queue full': 'too many requests are waiting',
  'waited too long': 'none became free in time',
  'given up': 'the caller disconnected',
}

/** Allots connections to the connection classes. */
export class ConnectionClasses {
  readonly #slots: Slots<ConnectionClass>

  /**
   * @param slots how many connections each connectionClass may hold
   * @param total how many all lanes together may hold
   * @param waitMs how long one may wait, in milliseconds, where that is not the default
   */
  constructor(
    slots: Readonly<Record<ConnectionClass, number>>,
    total: number,
    waitMs: Partial<Record<ConnectionClass, number>> = {},
  ) {
    const limits = Object.fromEntries(
      CONNECTION_CLASSES.map(connectionClass => [
        connectionClass,
        {
          ...QUEUES[connectionClass],
          slots: slots[connectionClass],
          waitMs: waitMs[connectionClass] ?? QUEUES[connectionClass].waitMs,
        },
      ]),
    ) as Record<ConnectionClass, SlotLimits>
    this.#slots = new Slots(
      limits,
      total,
      (refusal, connectionClass) =>
        new DatabaseBusy(`no connection for ${connectionClass}, ${REFUSALS[refusal]}`),
    )
  }

  /**
   * Takes a connection slot if one is free.
   *
   * @returns a function that releases the slot; null when the request has to wait
   */
  takeFree({ connectionClass, keyLimits }: ConnectionRequest): (() => void) | null {
    return this.#slots.takeFree(connectionClass, keyLimits)
  }

  /**
   * Takes a connection slot.
   *
   * @returns a function that releases the slot
   * @throws {DatabaseBusy} when no slot becomes free in time
   */
  take({ connectionClass, ...request }: ConnectionRequest): Promise<() => void> {
    return this.#slots.take({ ...request, kind: connectionClass } satisfies SlotRequest<ConnectionClass>)
  }
}
