/**
 * `make bench`: compares this server with others. All use one PostgreSQL, the one of BENCH_DATABASE_URL or one that
 * is started. BENCH_ROUNDS and BENCH_SECONDS say how long, and BENCH_ONLY which, by parts of their names.
 */
import { compare } from './comparison.ts'
import { onStage } from './stage.ts'

await onStage(compare)
