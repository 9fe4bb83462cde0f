import { CONNECTION_CLASSES, type ConnectionClass } from '#src/runtime/connection-shares.ts'
import { type Bound, type Refusal, type SlotLimits, type SlotRequest, Slots } from '#src/runtime/slots.ts'
import { DatabaseBusy } from './unavailable.ts'

/** What a session is wanted for. */
export interface Claim {
  connectionClass: ConnectionClass
  /** How many of those who share a key may hold connections of the lane. */
  bounds?: readonly Bound[]
  /**
   * Whoever asks gives up when it aborts: what is waiting leaves the queue, what is running is cancelled. It is asked for
   * when something takes long, since each signal has its cost.
   */
  signal?: () => AbortSignal
  /** Whether it is for a read-only transaction whose statements the server itself ends when they take too long. */
  isReadOnly?: boolean
  /** Whether it may wait and take as long as it likes, as migrations do. */
  isPatient?: boolean
}

/** What is wanted unless told otherwise. */
export const WRITE: Claim = { connectionClass: 'write' }

/** How many may wait for a connection in each lane, and for how many milliseconds. */
const QUEUES: Readonly<Record<ConnectionClass, Omit<SlotLimits, 'slots'>>> = {
  // Each is the question of up to 250 callers.
  identity: { waiting: 1_000, waitMs: 3_000 },
  login: { waiting: 1_000, waitMs: 5_000 },
  write: { waiting: 1_000, waitMs: 5_000 },
  list: { waiting: 100, waitMs: 2_000 },
}

const REFUSALS: Readonly<Record<Refusal, string>> = {
  'queue full': 'too many wait already',
  'waited too long': 'none became free in time',
  'given up': 'nobody waits for the answer any longer',
}

/** Shares connections out among the lanes. */
export class ConnectionClasses {
  readonly #slots: Slots<ConnectionClass>

  /**
   * @param slots how many connections each lane may hold
   * @param total how many all lanes together may hold
   * @param waitMs how long one may wait, in milliseconds, where that is not the default
   */
  constructor(
    slots: Readonly<Record<ConnectionClass, number>>,
    total: number,
    waitMs: Partial<Record<ConnectionClass, number>> = {},
  ) {
    const limits = Object.fromEntries(
      CONNECTION_CLASSES.map(lane => [
        lane,
        { ...QUEUES[lane], slots: slots[lane], waitMs: waitMs[lane] ?? QUEUES[lane].waitMs },
      ]),
    ) as Record<ConnectionClass, SlotLimits>
    this.#slots = new Slots(
      limits,
      total,
      (refusal, lane) => new DatabaseBusy(`no connection for ${lane}, ${REFUSALS[refusal]}`),
    )
  }

  /**
   * Takes the right to a connection.
   *
   * @returns a function that gives it back
   * @throws {DatabaseBusy} when there is none in time
   */
  take({ connectionClass, ...claim }: Claim): Promise<() => void> {
    return this.#slots.take({ ...claim, kind: connectionClass } satisfies SlotRequest<ConnectionClass>)
  }
}
