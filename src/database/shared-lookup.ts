import { DatabaseUnavailable } from './unavailable.ts'

/** Why a look-up was not even tried. */
export class LookupRefused extends Error {
  constructor(reason: string) {
    super(`A row was not looked up: ${reason}.`)
    this.name = 'LookupRefused'
  }
}

/** Whoever asks: a socket, say. What nobody waits for any longer is not looked up. */
export interface Asker {
  readonly destroyed: boolean
}

export interface SharedLookupOptions {
  /** Statements at once. */
  inFlight?: number
  /** Keys in one statement. */
  batch?: number
  /** Keys that may wait for their turn. */
  waiting?: number
  /** How long one may wait for its turn, in milliseconds. */
  waitMs?: number
  /** Milliseconds since a moment that does not change. */
  monotonic?: () => number
}

/**
 * Answers that are given in one turn of the event loop: each has a request go on, and hundreds of those would keep
 * connections and health checks waiting. The statement counts as under way until all of its answers are given: the
 * next ones would otherwise have their requests go on in the same turns.
 */
const PORTION = 32

const nextTurn = () => new Promise(resolve => setImmediate(resolve))

/** Finds a row by its key; null when there is none. */
export type SharedLookup<Key, Row> = (key: Key, asker?: Asker) => Promise<Row | null>

interface Question<Key, Row> {
  key: Key
  asker: Asker | undefined
  since: number
  resolve(row: Row | null): void
  reject(error: unknown): void
}

/**
 * Answers all who ask at the same time with one statement. A question that comes while statements are under way
 * waits for the next one, so that what is read is never older than the question. They are answered in the order
 * in which they came.
 *
 * @param read finds the rows of several keys, in a map that leaves out those without a row
 * @param options two statements at once, of 250 keys each, and 10,000 that wait for at most six seconds, unless told
 *   otherwise
 * @returns a function that rejects with {@link LookupRefused} when too many wait already, when it waited too
 *   long, or when nobody waits for the answer; and with what `read` throws for this key: a key that makes a statement
 *   fail harms no other
 */
export function sharedLookup<Key, Row>(
  read: (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Row>>,
  {
    inFlight = 2,
    batch = 250,
    waiting = 10_000,
    waitMs = 6_000,
    monotonic = () => performance.now(),
  }: SharedLookupOptions = {},
): SharedLookup<Key, Row> {
  let questions: Question<Key, Row>[] = []
  let running = 0
  let isScheduled = false

  /** Takes the questions whose turn it is, by their keys. */
  const take = () => {
    const taken = new Map<Key, Question<Key, Row>[]>()
    const oldest = monotonic() - waitMs
    let index = 0
    for (; index < questions.length; index++) {
      const question = questions[index] as Question<Key, Row>
      if (question.asker?.destroyed === true) {
        question.reject(new LookupRefused('nobody waits for it any longer'))
        continue
      }
      if (question.since < oldest) {
        question.reject(new LookupRefused('it waited too long'))
        continue
      }
      const same = taken.get(question.key)
      if (same !== undefined) same.push(question)
      else if (taken.size < batch) taken.set(question.key, [question])
      else break
    }
    questions = index === questions.length ? [] : questions.slice(index)
    return taken
  }

  const answer = async (taken: ReadonlyMap<Key, Question<Key, Row>[]>): Promise<void> => {
    try {
      const rows = await read([...taken.keys()])
      let answered = 0
      for (const [key, same] of taken) {
        if (answered >= PORTION) {
          answered = 0
          await nextTurn()
        }
        const row = rows.get(key) ?? null
        for (const question of same) question.resolve(row)
        answered += same.length
      }
    } catch (error) {
      await fail(taken, error)
    }
  }

  /** Finds out whose fault it was, by asking for each half alone. */
  const fail = async (taken: ReadonlyMap<Key, Question<Key, Row>[]>, error: unknown) => {
    if (taken.size === 1 || error instanceof DatabaseUnavailable) {
      for (const same of taken.values()) for (const question of same) question.reject(error)
      return
    }
    const entries = [...taken]
    const middle = entries.length >> 1
    await answer(new Map(entries.slice(0, middle)))
    await answer(new Map(entries.slice(middle)))
  }

  const run = () => {
    isScheduled = false
    while (questions.length > 0 && running < inFlight) {
      const taken = take()
      if (taken.size === 0) return
      running += 1
      void answer(taken).then(() => {
        running -= 1
        schedule()
      })
    }
  }

  /** What arrives in the same turn of the event loop shares a statement. */
  const schedule = () => {
    if (isScheduled || questions.length === 0 || running >= inFlight) return
    isScheduled = true
    setImmediate(run)
  }

  return (key, asker) =>
    new Promise((resolve, reject) => {
      if (questions.length >= waiting) {
        reject(new LookupRefused('too many are waiting'))
        return
      }
      questions.push({ key, asker, since: monotonic(), resolve, reject })
      schedule()
    })
}
