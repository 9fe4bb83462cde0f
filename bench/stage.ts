import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { startPostgres } from '../test/support/services.ts'
import { type Calls, fill } from './fill.ts'
import type { Surroundings } from './servers.ts'

/** Longer than a session of PostgreSQL keeps its statistics to itself while it is used. */
const STATISTICS_MS = 1_200

/** What everything is measured on: a filled database, and a folder for what servers write. */
export interface Stage extends Surroundings {
  calls: Calls
  /** Asks the database, in the one session that is no server's. */
  ask<Row extends object>(text: string): Promise<Row>
  /**
   * How many transactions were committed in the database so far. Sessions tell of theirs when they end one, and not
   * at once.
   *
   * @param nudge makes the servers use all of their sessions once more
   */
  transactions(nudge: () => Promise<unknown>): Promise<number>
}

/** Works on the PostgreSQL of BENCH_DATABASE_URL, or on one that is started for it. */
export async function onStage(work: (stage: Stage) => Promise<void>): Promise<void> {
  const given = process.env.BENCH_DATABASE_URL
  const postgres = given ? null : await startPostgres()
  const folder = mkdtempSync(join(tmpdir(), 'animethemes-auth-bench-'))
  const databaseUrl = given || (postgres?.url ?? '')
  const client = new pg.Client(databaseUrl)
  try {
    await client.connect()
    const ask = async <Row extends object>(text: string) => (await client.query<Row>(text)).rows[0] as Row
    await work({
      databaseUrl,
      folder,
      calls: await fill(databaseUrl),
      ask,
      async transactions(nudge) {
        await delay(STATISTICS_MS)
        await nudge()
        const { count } = await ask<{ count: number }>(
          'select xact_commit::int as count from pg_stat_database where datname = current_database()',
        )
        return count
      },
    })
  } finally {
    await client.end()
    await postgres?.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
