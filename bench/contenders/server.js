/** What the contenders share: where they are told to listen, and how they say that they do. */
import pg from 'pg'

/** A pool as large as ours. */
export const pool = () => new pg.Pool({ connectionString: process.env.BENCH_DATABASE_URL, max: 10 })

/** Says on which port a server listens, for whoever started it. */
export const ready = port => process.stdout.write(`READY ${port}\n`)
