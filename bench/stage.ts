import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { startPostgres } from '../test/support/services.ts'
import { type Calls, fill } from './fill.ts'
import type { BenchEnvironment } from './servers.ts'

/** Longer than PostgreSQL's sessions defer their statistics. */
const STATISTICS_MS = 1_200

/** The environment of the measurements: a filled database, and a folder for the servers. */
export interface Stage extends BenchEnvironment {
  calls: Calls
  /** Queries the database in a separate session. */
  query<Row extends object>(text: string): Promise<Row>
  /**
   * Returns the number of committed transactions in the database. Sessions report theirs with a delay, at the end of a
   * transaction.
   *
   * @param nudge makes the servers use all of their sessions once more
   */
  transactions(nudge: () => Promise<unknown>): Promise<number>
}

/** Runs work on the PostgreSQL of BENCH_DATABASE_URL, or on one that is started. */
export async function onStage(work: (stage: Stage) => Promise<void>): Promise<void> {
  const externalUrl = process.env.BENCH_DATABASE_URL
  const postgres = externalUrl ? null : await startPostgres()
  const folder = mkdtempSync(join(tmpdir(), 'animethemes-auth-bench-'))
  const databaseUrl = externalUrl || (postgres?.url ?? '')
  const client = new pg.Client(databaseUrl)
  try {
    await client.connect()
    const ask = async <Row extends object>(text: string) => (await client.query<Row>(text)).rows[0] as Row
    await work({
      databaseUrl,
      folder,
      calls: await fill(databaseUrl),
      query: ask,
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
