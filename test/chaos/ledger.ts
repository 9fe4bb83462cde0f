import type { Query } from './seed.ts'

/** The expected result of a write in the database. */
type Kind = 'playlist' | 'token' | 'revocation' | 'notification'

interface Write {
  kind: Kind
  /** A unique name or id. */
  key: string
  isAcknowledged: boolean
}

/** Records every sent write and which were acknowledged. */
export class Ledger {
  readonly #writes: Write[] = []

  /** Records a write before it is sent. @returns records its acknowledgement */
  sent(kind: Kind, key: string): () => void {
    const write: Write = { kind, key, isAcknowledged: false }
    this.#writes.push(write)
    return () => {
      write.isAcknowledged = true
    }
  }

  /** The number of acknowledged writes. */
  get acknowledged(): number {
    return this.#writes.filter(write => write.isAcknowledged).length
  }

  /**
   * Checks the database: acknowledged writes must be stored exactly once, others at most once.
   *
   * @returns violations, a sentence each
   */
  async faults(query: Query): Promise<string[]> {
    const count = async (text: string) => {
      const { rows } = await query(text)
      return new Map(rows.map(row => [String(row.key), Number(row.count)]))
    }
    const playlists = await count('select name as key, count(*) from playlists group by name')
    const tokens = await count('select name as key, count(*) from personal_access_tokens group by name')
    const tokenIds = await count('select id as key, 1 as count from personal_access_tokens')
    const read = await count('select id as key, 1 as count from notifications where read_at is not null')
    const revoked = new Set(
      this.#writes.filter(({ kind }) => kind === 'revocation').map(({ key }) => key.split(' ')[1] ?? ''),
    )

    const faults: string[] = []
    for (const { kind, key, isAcknowledged } of this.#writes) {
      const said = isAcknowledged ? 'acknowledged' : 'not acknowledged'
      if (kind === 'revocation') {
        const id = key.split(' ')[0] ?? ''
        if (isAcknowledged && tokenIds.has(id))
          faults.push(`the revocation of token ${id}, acknowledged: it is there`)
      } else {
        const found = { playlist: playlists, token: tokens, notification: read }[kind].get(key) ?? 0
        // A token that may have been revoked since is rightly missing.
        const isMissing = isAcknowledged && found === 0 && !revoked.has(key)
        if (isMissing || found > 1) faults.push(`${kind} ${key}, ${said}: it is there ${found} times`)
      }
    }
    return faults
  }
}
