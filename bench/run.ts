/**
 * `make bench`: compares this server with others, and then measures what else there is to know of it. All use one
 * PostgreSQL, the one of BENCH_DATABASE_URL or one that is started. BENCH_ROUNDS and BENCH_SECONDS say how long,
 * and BENCH_ONLY which, by parts of names: of servers in the first table, and of groups of figures in the second.
 */
import { compare } from './comparison.ts'
import { measureFigures } from './figures.ts'
import { onStage } from './stage.ts'

await onStage(async stage => {
  await compare(stage)
  await measureFigures(stage)
})
